import * as z from 'zod/mini'
import type { Digest } from '../blobs/blobs.ts'
import { INDEX_TYPE, INFLATED_FROM, MANIFEST_TYPE } from '../image/media-types.ts'

/** Media types of what is pulled (OCI image specification 1.1, "media types", and Docker's image manifest version 2). */
export const INDEX_TYPES = [INDEX_TYPE, 'application/vnd.docker.distribution.manifest.list.v2+json']
export const MANIFEST_TYPES = [MANIFEST_TYPE, 'application/vnd.docker.distribution.manifest.v2+json']

const Sha256 = z.custom<Digest>(
  (value) => typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value),
  'must be sha256: and 64 hex digits',
)

/** A reference to a blob or manifest. */
export const Descriptor = z.object({
  mediaType: z.string(),
  digest: Sha256,
  size: z.int().check(z.minimum(0)),
  annotations: z.optional(z.record(z.string(), z.string())),
})
export type Descriptor = z.infer<typeof Descriptor>

export const ImageManifest = z.object({ config: Descriptor, layers: z.array(Descriptor) })
export type ImageManifest = z.infer<typeof ImageManifest>

export const ImageIndex = z.object({
  manifests: z.array(
    z.object({
      ...Descriptor.shape,
      platform: z.optional(
        z.object({ os: z.string(), architecture: z.string(), variant: z.optional(z.nullable(z.string())) }),
      ),
    }),
  ),
})
export type ImageIndex = z.infer<typeof ImageIndex>

/** What is read of an image's config. */
export const ImageConfig = z.object({
  os: z.string(),
  architecture: z.string(),
  rootfs: z.object({ diff_ids: z.array(Sha256) }),
  config: z.optional(
    z.nullable(
      z.object({
        Env: z.optional(z.nullable(z.array(z.string()))),
        User: z.optional(z.nullable(z.string())),
        WorkingDir: z.optional(z.nullable(z.string())),
      }),
    ),
  ),
})
export type ImageConfig = z.infer<typeof ImageConfig>

/** What a manifest or index lists: the blob's digest, and which stored blob it is inflated from, where it is. */
export function listedBy(manifest: Uint8Array): { digest: Digest; size: number; inflatedFrom?: Digest }[] {
  const text = JSON.parse(Buffer.from(manifest).toString()) as unknown
  const image = ImageManifest.safeParse(text)
  const listed = image.success ? [image.data.config, ...image.data.layers] : z.parse(ImageIndex, text).manifests
  return listed.map(({ digest, size, annotations }) => {
    const inflatedFrom = annotations?.[INFLATED_FROM] as Digest | undefined
    return { digest, size, ...(inflatedFrom && { inflatedFrom }) }
  })
}
