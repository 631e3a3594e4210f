import { homedir } from 'node:os'
import { join } from 'node:path'

/** A base image that can be made from Debian's packages where no registry gives the official one. */
export interface StandIn {
  /** As the official image is named. */
  name: string
  /** The Python that the suite has. */
  python: string
  /** The Debian suite. */
  suite: string
}

/** Every base image that can be made here, one a Python version. */
export const STAND_INS: readonly StandIn[] = [
  { name: 'python:3.9-slim-bullseye', python: '3.9', suite: 'bullseye' },
  { name: 'python:3.11-slim-bookworm', python: '3.11', suite: 'bookworm' },
  { name: 'python:3.13-slim-trixie', python: '3.13', suite: 'trixie' },
]

/** Goes into the names of what is kept: a change of how stand-ins are made makes them anew. */
export const STAND_IN_FORMAT = 1

/**
 * What a container of the official images finds in its environment. Their interpreter is /usr/local/bin/python3,
 * that of a stand-in /usr/bin/python3; both are in the path.
 */
export const STAND_IN_CONFIG = {
  Env: ['PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8'],
  Cmd: ['python3'],
}

/** @throws {RangeError} that lists what can be made, when the name is none of it */
export function findStandIn(name: string): StandIn {
  const found = STAND_INS.find((standIn) => standIn.name === name)
  if (found) return found
  throw new RangeError(`No stand-in can be made for ${name}, only for ${STAND_INS.map((each) => each.name).join(', ')}`)
}

/** The one place where things are kept that are dear to make and the same for every checkout: `~/.cache/meadow-run`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'meadow-run')
}
