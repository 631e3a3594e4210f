import { createHash } from 'node:crypto'
import { isOnImage } from './formats/container.ts'
import type { Probe } from './probe.ts'
import { bringsPython, type InterpreterSpec } from './spec.ts'

/** Grows when the same spec is to be resolved again because this program makes locks differently. */
const LOCK_VERSION = 4

/**
 * What a lock is known by: everything that resolving reads but the state of the index.
 * @param platform OCI platform: `linux/amd64`
 * @param index which index is asked: its URL, or a name for the resolver's own default
 */
export function lockKey(spec: InterpreterSpec, probe: Probe, platform: string, index: string): string {
  const files = Object.entries(spec.files).sort(([a], [b]) => (a < b ? -1 : 1))
  const { version, machine, libc, tags } = probe
  const parts = [
    LOCK_VERSION,
    spec.format,
    spec.path,
    files,
    Object.entries(spec.local ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    spec.groups ?? [],
    ...(spec['without-groups'] ? [{ without: spec['without-groups'] }] : []),
    spec.extras ?? [],
    ...(spec.project === undefined ? [] : [{ project: spec.project }]),
    version,
    machine,
    libc.name,
    libc.version,
    tags[0],
    spec.imageDigest ?? '',
    // Where the base has the environment's Python, its probe says which.
    ...(bringsPython(spec.format) && spec.pythonVersion !== undefined ? [{ python: spec.pythonVersion }] : []),
    isOnImage(spec) ? probe.installed : [],
  ]
  return createHash('sha256')
    .update(JSON.stringify([...parts, platform, index]))
    .digest('hex')
}
