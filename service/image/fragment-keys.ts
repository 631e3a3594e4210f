import type { Digest } from '../blobs/blobs.ts'
import { keyOf } from './keys.ts'

/** Grows whenever the same wheel would make another fragment. Part of every key. */
const FRAGMENT_FORMAT = 2

/**
 * What the files of a wheel are known by.
 * @param wheel hex sha256 of the wheel
 * @param python `3.11`
 */
export function filesKey(wheel: string, python: string): string {
  return keyOf('files', FRAGMENT_FORMAT, wheel, python)
}

/**
 * What the files of something built to a wheel are known by.
 * @param source hex sha256 of the sdist
 * @param base digest of the image that it was built in
 */
export function builtKey(source: string, python: string, base: Digest): string {
  return keyOf('built', FRAGMENT_FORMAT, source, python, base)
}

/** Grows whenever the same conda package would make another fragment. */
const CONDA_FORMAT = 1

/**
 * What the files of a conda package are known by; they lie at /opt/env always.
 * @param sha256 of the package, in hex
 * @param url which its record in the environment names
 * @param python where the environment's Python has its packages; only those that are noarch ask for it
 */
export function condaKey(sha256: string, url: string, python: string): string {
  return keyOf('conda', FRAGMENT_FORMAT, CONDA_FORMAT, sha256, url, python)
}

/**
 * What byte code is known by.
 * @param files key of the files that it was made from
 * @param cacheTag `cpython-311`
 * @param compiler digest of the image, or of the conda package, whose Python compiled it
 */
export function bytecodeKey(files: string, cacheTag: string, compiler: Digest): string {
  return keyOf('bytecode', FRAGMENT_FORMAT, files, cacheTag, compiler)
}
