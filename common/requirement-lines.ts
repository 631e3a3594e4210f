/** One logical line of a requirements file. */
export interface RequirementLine {
  /** Its first line in the file, from 1. */
  line: number
  /** The line that follows it. */
  next: number
  /** Without comments and line continuations. */
  text: string
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
    open = { line: open?.line ?? index + 1, next: index + 2, text: (open?.text ?? '') + part }
    if (continues) continue
    lines.push(open)
    open = undefined
  }
  if (open) lines.push(open)
  return lines
    .map((each) => ({ ...each, text: each.text.replace(/(^|\s)#.*$/, '').trim() }))
    .filter(({ text }) => text !== '')
}
