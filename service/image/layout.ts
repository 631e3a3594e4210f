import * as z from 'zod/mini'
import { type Digest, isDigest } from '../blobs/blobs.ts'
import type { PlannedArtifact, StoredFragment } from './fragment.ts'
import { LAYER_FORMAT } from './keys.ts'

const DigestText = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'must be a sha256 digest')

const LayoutLayerJson = z.object({
  kind: z.enum(['skeleton', 'artifacts', 'whiteouts', 'changes']),
  key: z.string(),
  title: z.string(),
  bytes: z.int(),
  layer: z.object({
    digest: DigestText,
    diffId: DigestText,
    size: z.int(),
    mediaType: z.string(),
    tarSize: z.optional(z.int()),
  }),
})

const FragmentReference = z.object({
  digest: DigestText,
  /** Blob: the Fragment as JSON. */
  manifest: DigestText,
})

const LayoutArtifactJson = z.object({
  name: z.string(),
  version: z.string(),
  files: FragmentReference,
  bytecode: z.optional(FragmentReference),
})

const LayoutJson = z.object({
  format: z.literal(LAYER_FORMAT),
  base: DigestText,
  layers: z.array(LayoutLayerJson),
  artifacts: z.array(LayoutArtifactJson),
  deadBytes: z.int(),
})

/** A layer of an image that exists. Fields as in `NewLayer`. */
export type LayoutLayer = z.infer<typeof LayoutLayerJson>
/** An artifact whose files are visible in an image. */
export type LayoutArtifact = z.infer<typeof LayoutArtifactJson>

/**
 * How an image is laid out: all that is needed to plan a delta on it. What its layers hold need not be said: the tree
 * they leave is always the one that `environmentTree` makes of the artifacts.
 */
export type Layout = z.infer<typeof LayoutJson>

/** A stored layout is not one that this version reads. */
export class LayoutUnreadable extends Error {
  override name = 'LayoutUnreadable'
}

/** An artifact as a layout refers to it. */
export function layoutArtifact({ name, version, files, bytecode }: PlannedArtifact): LayoutArtifact {
  return { name, version, files: reference(files), ...(bytecode && { bytecode: reference(bytecode) }) }
}

function reference({ digest, manifest }: StoredFragment): LayoutArtifact['files'] {
  return { digest, manifest }
}

/** As it is stored: the same bytes for the same layout. */
export function layoutToJson(layout: Layout): Buffer {
  return Buffer.from(JSON.stringify(layout))
}

/** @throws {LayoutUnreadable} when the text is no layout, or one of another format: lay the image out fresh then */
export function layoutFromJson(text: string): Layout {
  try {
    return z.parse(LayoutJson, JSON.parse(text))
  } catch (error) {
    throw new LayoutUnreadable('the stored layout is of another format', { cause: error })
  }
}
