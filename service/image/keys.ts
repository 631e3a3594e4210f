import { createHash } from 'node:crypto'
import type { Digest } from '../blobs/blobs.ts'

/** Grows whenever the same fragments would make other layers. Part of every key and of every layout. */
export const LAYER_FORMAT = 1

/** Hex sha256 over the parts as JSON. Parts must be plain JSON with their keys in a fixed order. */
export function keyOf(...parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/**
 * What an image is known by, inside a domain.
 * @param apt key of the apt layer above the base; empty where there is none
 * @param seed hex sha256 of the pip that an environment without one is given
 */
export function imageKey(lock: Digest, base: Digest, apt: string, seed: string): string {
  return keyOf('image', LAYER_FORMAT, lock, base, apt, seed)
}

/**
 * What a delta may be made on: the newest image with the same lineage, of the same branch if there is one.
 * @param environment how the interpreter was named: the environment file's path
 */
export function lineageKey(repository: string, environment: string, base: Digest, apt: string): string {
  return keyOf('lineage', LAYER_FORMAT, repository, environment, base, apt)
}
