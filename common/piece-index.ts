import { createHash } from 'node:crypto'

/**
 * What a mirrored root consists of, as blobs in two steps: an index names lists, a list names pieces, each by a line with
 * 64 hex digits. A change of one piece changes one list and the index: a few kilobytes, however large the root is.
 */

/** The most lines of a list, and of an index. */
const MOST_LISTED = 512
export const MOST_LISTS = 50_000
/** The most pieces of a root, repeated ones counted each time. The largest that is taken has a third of them. */
export const MOST_PIECES = 500_000
/** The most bytes that an index or a list can have. */
export const MOST_INDEX_BYTES = MOST_LISTS * 65

/** An index or list that is not one. */
export class IndexRefused extends Error {
  override name = 'IndexRefused'
  readonly hint = 'Mirror the code again, with a client of this version.'
}

/** A blob and the digest that it goes by. */
export interface NamedBytes {
  digest: string
  bytes: Buffer
}

/** The index of a root, and its lists, for pieces in their order. */
export function indexOf(pieces: readonly string[]): { index: NamedBytes; lists: NamedBytes[] } {
  const lists: NamedBytes[] = []
  let open: string[] = []
  for (const piece of pieces) {
    open.push(piece)
    // One of 64 ends a list: which one is up to its content, so that lists further on stay what they are.
    if (Number.parseInt(piece.slice(-2), 16) % 64 !== 0 && open.length < MOST_LISTED) continue
    lists.push(listOf(open))
    open = []
  }
  if (open.length > 0) lists.push(listOf(open))
  return { index: listOf(lists.map(({ digest }) => digest)), lists }
}

/**
 * The digests that an index or a list names.
 * @throws {IndexRefused}
 */
export function digestsIn(name: string, bytes: Uint8Array): `sha256:${string}`[] {
  const text = Buffer.from(bytes).toString('latin1')
  if (!/^(?:[0-9a-f]{64}\n)*$/.test(text)) throw new IndexRefused(`${name} is not a list of pieces`)
  return text
    .split('\n')
    .slice(0, -1)
    .map((hex) => `sha256:${hex}` as const)
}

/** The digest of some bytes. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function listOf(digests: readonly string[]): NamedBytes {
  const bytes = Buffer.from(digests.map((digest) => `${digest.slice('sha256:'.length)}\n`).join(''))
  return { digest: digestOf(bytes), bytes }
}
