import { createHash } from 'node:crypto'
import type { Digest } from '../blobs/blobs.ts'
import type { EnvironmentKind } from './skeleton.ts'

/** Grows whenever the same fragments would make other layers. Part of every key and of every layout. */
export const LAYER_FORMAT = 2

/** Hex sha256 over the parts as JSON. Parts must be plain JSON with their keys in a fixed order. */
export function keyOf(...parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** What an image depends on besides the layer format. */
export interface ImageParts {
  /** Digest of the lock. */
  lock: Digest
  /** Digest of the base; with its additional software, where it has some. */
  base: Digest
  /** `linux/amd64` */
  platform: string
  /** Whether it has an environment of ours, and whether that shows what the base has. */
  environment: EnvironmentKind
  /** Hex sha256 of the pip that an environment without one is given; empty where it is given none. */
  seed: string
}

/** What an image is known by, inside a domain. */
export function imageKey({ lock, base, platform, environment, seed }: ImageParts): string {
  return keyOf('image', LAYER_FORMAT, lock, base, platform, environment, seed)
}

/**
 * What a delta may be made on: the newest image with the same lineage, of the same branch if there is one.
 * @param environment how the interpreter was named: the environment file's path
 * @param base digest of the base; with its additional software, where it has some
 */
export function lineageKey(repository: string, environment: string, base: Digest): string {
  return keyOf('lineage', LAYER_FORMAT, repository, environment, base)
}

/**
 * What an image is compared with where it can't be made on it: another base, other options, another file in its place.
 * @param named how the interpreter was asked for: `auto`, a path
 * @param python `3.11`
 */
export function kinKey(repository: string, named: string, python: string): string {
  return keyOf('kin', repository, named, python)
}
