import { HintedError } from '../../common/hinted-error.ts'
import type { BaseImage } from './base.ts'

/** https://github.com/opencontainers/image-spec/blob/main/media-types.md */
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
export const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
export const TAR_TYPE = 'application/vnd.oci.image.layer.v1.tar'
/** Of the layers that are made here. */
export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip'
/** Annotation of a plain layer in the embedded registry: the digest of the compressed one that is stored. */
export const INFLATED_FROM = 'dev.meadow-run.inflated-from'
const ZSTD_LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+zstd'

/**
 * Docker's own types name the same bytes. They are not mixed into an OCI manifest: skopeo then can't convert it.
 * https://github.com/opencontainers/image-spec/blob/main/media-types.md#compatibility-matrix
 */
const OCI_TYPES: Record<string, string> = {
  'application/vnd.docker.image.rootfs.diff.tar': TAR_TYPE,
  'application/vnd.docker.image.rootfs.diff.tar.gzip': LAYER_TYPE,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': ZSTD_LAYER_TYPE,
  [TAR_TYPE]: TAR_TYPE,
  [LAYER_TYPE]: LAYER_TYPE,
  [ZSTD_LAYER_TYPE]: ZSTD_LAYER_TYPE,
}

/** An image can't be made on this base. */
export class BaseRefused extends HintedError {
  override name = 'BaseRefused'
}

/**
 * The base's layers under the types that an OCI manifest gives them.
 * @param zstd whether every engine that shall run the image reads zstd layers (Docker from 23 on)
 * @throws {BaseRefused} naming the base
 */
export function ociLayers(base: BaseImage, zstd: boolean): BaseImage['layers'] {
  return base.layers.map((layer) => {
    const mediaType = OCI_TYPES[layer.mediaType]
    if (mediaType === undefined) {
      throw new BaseRefused(`base image ${base.name} has a layer of type ${layer.mediaType}`, 'use a base without such')
    }
    if (mediaType === ZSTD_LAYER_TYPE && !zstd) {
      throw new BaseRefused(
        `base image ${base.name} has layers compressed with zstd, which Docker reads from version 23 on`,
        'update Docker, or push the base again with gzip: skopeo copy --dest-compress-format gzip',
      )
    }
    return { ...layer, mediaType }
  })
}
