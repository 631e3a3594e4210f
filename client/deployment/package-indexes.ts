import { anonymousUrl } from './conda-environment.ts'
import type { LocalInterpreter } from './local-interpreter.ts'

/** Package indexes that frozen versions are to be looked for in. */
export interface CarriedIndexes {
  /** Lines of a requirements file. */
  lines: string[]
  /** What a user should know. */
  notes: string[]
}

const LOOPBACK = /^(?:localhost|127\.[\d.]+|\[::1\])$/

/** The indexes that a local Python is set up for, without those that only this machine reaches, or only with credentials. */
export function carriedIndexes({ main, extra }: LocalInterpreter['indexes']): CarriedIndexes {
  const notes: string[] = []
  const carried = [...(main === null ? [] : [main]), ...extra].filter((url) => {
    const why = whyNot(url)
    if (why) notes.push(`The package index ${anonymousUrl(url)} is left out: ${why}.`)
    return why === undefined
  })
  if (carried.length > 0) notes.unshift(`Package indexes of this machine are asked: ${carried.join(', ')}.`)
  return { lines: carried.map((url) => `${url === main ? '--index-url' : '--extra-index-url'} ${url}`), notes }
}

function whyNot(url: string): string | undefined {
  const parsed = URL.parse(url)
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return 'it is no https: URL'
  if (LOOPBACK.test(parsed.hostname)) return 'only this machine reaches it'
  if (anonymousUrl(url) !== url || /\$\{/.test(url)) return 'it needs credentials, and they stay here'
  return undefined
}
