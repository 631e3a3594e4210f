import type { Digest } from '../blobs/blobs.ts'
import { CONFIG_TYPE, MANIFEST_TYPE } from './media-types.ts'

/** A descriptor as the specification has it. https://github.com/opencontainers/image-spec/blob/main/descriptor.md */
export interface Descriptor {
  mediaType: string
  digest: Digest
  size: number
  annotations?: Record<string, string>
}

/**
 * An OCI manifest. https://github.com/opencontainers/image-spec/blob/main/manifest.md
 * @param base digest of what the image stands on, where it stands on something
 */
export function imageManifest(
  { digest, size }: { digest: Digest; size: number },
  layers: Descriptor[],
  base?: Digest,
): Buffer {
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest, size },
    layers,
    ...(base && { annotations: { 'org.opencontainers.image.base.digest': base } }),
  }
  return Buffer.from(JSON.stringify(manifest))
}

/** What a manifest says of a layer, or of another blob. */
export function descriptorOf({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
