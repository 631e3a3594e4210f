import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where a Debian archive is, and the keys that sign it. */
export interface DebianMirror {
  url: string
  /** A keyring file, where the machine's sources name one. */
  keyring?: string
}

interface Source {
  uri: string
  suites: string[]
  components: string[]
  keyring?: string
}

/**
 * The Debian mirror that this machine's own apt uses. Mirrors hold every suite, so one of any suite serves.
 * @param folder apt's configuration, `/etc/apt`
 * @returns undefined where its sources name none (another distribution, or another kind of machine)
 */
export async function debianMirror(folder = '/etc/apt'): Promise<DebianMirror | undefined> {
  const source = (await readSources(folder)).find(isMainArchive)
  return source && { url: source.uri, ...(source.keyring && { keyring: source.keyring }) }
}

async function readSources(folder: string): Promise<Source[]> {
  const inFolder = await readdir(join(folder, 'sources.list.d')).catch(missing([]))
  const files = ['sources.list', ...inFolder.sort().map((name) => join('sources.list.d', name))]
  const sources: Source[] = []
  for (const file of files) {
    const text = await readFile(join(folder, file), 'utf8').catch(missing(''))
    if (file.endsWith('.list')) sources.push(...parseOneLine(text))
    if (file.endsWith('.sources')) sources.push(...parseDeb822(text))
  }
  return sources
}

/** The format of sources.list (sources.list(5), "one-line-style"): `deb [option=value …] uri suite component …`. */
export function parseOneLine(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line)
    if (!match) return []
    const [, options = '', uri = '', suite = '', components = ''] = match
    const keyring = /(?:^|\s)signed-by=(\/\S+)/i.exec(options)?.[1]
    return [{ uri, suites: [suite], components: words(components), ...(keyring && { keyring }) }]
  })
}

/** The format of *.sources (sources.list(5), "deb822-style"): stanzas of `Field: value`, comments between their lines. */
export function parseDeb822(text: string): Source[] {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'))
  return lines
    .join('\n')
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const field = (name: string) =>
        new RegExp(`^${name}:((?:.*)(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1]?.trim() ?? ''
      if (!words(field('Types')).includes('deb') || /^(no|false|0)$/i.test(field('Enabled'))) return []
      const keyring = /^\/\S+$/.exec(field('Signed-By'))?.[0]
      const rest = {
        suites: words(field('Suites')),
        components: words(field('Components')),
        ...(keyring && { keyring }),
      }
      return words(field('URIs')).map((uri) => ({ uri, ...rest }))
    })
}

/** Debian's own archive, not its security one, another vendor's or another distribution's. */
function isMainArchive({ uri, suites, components }: Source): boolean {
  const ofDebian = /^(https?|file):.*\/debian\/?$/.test(uri)
  return ofDebian && components.includes('main') && suites.some((suite) => !/security|\/$/.test(suite))
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean)
}

function missing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead
    throw error
  }
}
