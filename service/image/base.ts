import type { Digest } from '../blobs/blobs.ts'

/** A layer as an OCI manifest and config name it. */
export interface LayerDescriptor {
  digest: Digest
  /** sha256 of the uncompressed tar. */
  diffId: Digest
  /** Bytes, compressed. */
  size: number
  mediaType: string
  /** Bytes of the uncompressed tar; known of layers that were made here. */
  tarSize?: number | undefined
}

/** What an image's config says of its processes. */
export interface ImageDefaults {
  env: string[]
  user: string
  workdir: string
}

/** A base image whose manifest and blobs are in the embedded registry. */
export interface BaseImage {
  /** As it was named: `python:3.11-slim-bookworm`. */
  name: string
  /** Digest of its manifest. */
  digest: Digest
  layers: LayerDescriptor[]
  defaults: ImageDefaults
  /** `linux/amd64` */
  platform: string
  /** How an engine pulls it: `127.0.0.1:8470/library/python@sha256:…`. */
  reference: string
}
