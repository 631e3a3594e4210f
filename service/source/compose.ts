import { buffer } from 'node:stream/consumers'
import { BundleHeaders, type BundleItem, type BundleLimits } from '../../common/bundle-format.ts'
import { checkLinks } from '../../common/bundle-links.ts'
import { readTar, type TarItem } from '../../common/read-tar.ts'
import { TAR_END, tarPadding } from '../../common/tar.ts'
import type { BlobInfo, Blobs, Digest } from '../blobs/blobs.ts'
import { type LfsPointer, lfsPointer, MAX_POINTER } from './lfs.ts'

/** A bundle that becomes a folder of another; the repository itself is the root. */
export interface Part {
  /** Empty, or ending in a slash. */
  prefix: string
  bundle: Digest
}

/** Something of a part, by its place in the whole. */
interface Place {
  part: Part
  item: BundleItem
  /** Where the file is a pointer of Git LFS. */
  pointer?: LfsPointer
}

/** The files and links of all parts, in the byte order of their whole paths. */
export type Composition = Place[]

/** Lists what the parts hold. Memory grows with the number of files. */
export async function compositionOf(blobs: Blobs, parts: Part[]): Promise<Composition> {
  const places: Place[] = []
  for (const part of parts) {
    for await (const item of itemsOf(blobs, part)) {
      const place: Place = { part, item: bundleItem(part, item) }
      const pointer = item.entry.size > MAX_POINTER ? undefined : lfsPointer(await buffer(item.content))
      places.push(pointer ? { ...place, pointer } : place)
    }
  }
  const keyed = places.map((place) => ({ place, key: Buffer.from(place.item.path) }))
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ place }) => place)
}

/**
 * Writes one canonical bundle of all parts, files of Git LFS in place of their pointers where that is asked for.
 * @throws {BundleRefused} for what the whole may not be, although its parts may
 */
export async function storeComposition(
  blobs: Blobs,
  composition: Composition,
  { lfs, limits }: { lfs: boolean; limits?: BundleLimits | undefined },
): Promise<BlobInfo> {
  checkLinks(new Map(composition.flatMap(({ item }) => (item.type === 'symlink' ? [[item.path, item.link]] : []))))
  return await blobs.put(written(blobs, composition, lfs, limits))
}

async function* written(
  blobs: Blobs,
  composition: Composition,
  lfs: boolean,
  limits: BundleLimits | undefined,
): AsyncGenerator<Uint8Array> {
  const headers = new BundleHeaders(limits)
  /** Each part is read once, from its beginning: its order is that of the whole. */
  const readers = new Map<Part, AsyncGenerator<TarItem>>()
  try {
    for (const { part, item, pointer } of composition) {
      const reader = readers.get(part) ?? itemsOf(blobs, part)
      readers.set(part, reader)
      const { value } = await reader.next()
      if (value === undefined) throw new Error(`${part.bundle} has changed while it was read`)
      const object = lfs ? pointer : undefined
      const size = object?.size ?? value.entry.size
      yield headers.next(item.type === 'file' ? { ...item, size } : item)
      if (object) yield* await blobs.open(`sha256:${object.oid}`)
      else yield* value.content
      yield tarPadding(size)
    }
  } finally {
    for (const reader of readers.values()) await reader.return(undefined)
  }
  yield TAR_END
}

/** Folders follow from what is in them. */
async function* itemsOf(blobs: Blobs, { bundle }: Part): AsyncGenerator<TarItem, void, undefined> {
  for await (const item of readTar(await blobs.open(bundle))) if (item.entry.type !== 'directory') yield item
}

function bundleItem({ prefix }: Part, { entry: { path, type, link = '', mode, size } }: TarItem): BundleItem {
  const whole = prefix + path
  return type === 'symlink'
    ? { type, path: whole, link }
    : { type: 'file', path: whole, executable: (mode & 0o100) !== 0, size }
}
