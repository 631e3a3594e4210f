/** One logical line of a requirements file. */
export interface RequirementLine {
  /** Its first line in the file, from 1. */
  line: number
  /** Without comments and line continuations. */
  text: string
}

/** A line that is an option. */
export interface LineOption {
  name: string
  /** What follows the name, as it is written. */
  text: string
  /** The same in words, without the quotes of a shell: pip splits such lines as a shell does. */
  words: string[]
}

/**
 * The logical lines of a requirements file, as pip reads them: without comments, those that end in a backslash joined
 * to the next; empty ones left out.
 * https://pip.pypa.io/en/stable/reference/requirements-file-format/
 */
export function requirementLines(text: string): RequirementLine[] {
  const lines: RequirementLine[] = []
  let open: RequirementLine | undefined
  for (const [index, raw] of text.split('\n').entries()) {
    const isComment = /^\s*#/.test(raw)
    const continues = raw.endsWith('\\') && !isComment
    // A comment between continued lines ends them.
    const part = isComment ? ` ${raw}` : continues ? raw.replace(/\\+$/, '') : raw
    open = { line: open?.line ?? index + 1, text: (open?.text ?? '') + part }
    if (continues) continue
    lines.push(open)
    open = undefined
  }
  if (open) lines.push(open)
  return lines
    .map((each) => ({ ...each, text: each.text.replace(/(^|\s)#.*$/s, '').trim() }))
    .filter(({ text }) => text !== '')
}

/** The option that a line is; undefined where it is a requirement. */
export function lineOption(text: string): LineOption | undefined {
  const [, name, rest = ''] =
    /^(--[a-z0-9-]+)(?:[\s=]\s*(.*))?$/is.exec(text) ?? /^(-[a-z])[\s=]*(.*)$/is.exec(text) ?? []
  if (name === undefined) return undefined
  const words = [...rest.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
  return { name, text: rest.trim(), words }
}
