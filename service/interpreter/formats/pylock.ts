import { createHash } from 'node:crypto'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Probe } from '../probe.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import { chosen, type InterpreterSpec } from '../spec.ts'
import type { Format } from './format.ts'
import { lineAt, placeOfPackage } from './lock-places.ts'
import { olderNotes, projectBeside } from './pylock-source.ts'
import { requiredText } from './required-text.ts'

/** pylock.toml, made by any tool. https://packaging.python.org/en/latest/specifications/pylock-toml/ */
export const pylockFormat: Format = {
  name: 'pylock.toml',
  options: ['groups', 'without-groups', 'extras'],
  yankedUnsaid: true,

  async load(code, path) {
    const text = await requiredText(code, path)
    if (text.trim() === '') {
      throw new EnvironmentFileError(path, undefined, 'is empty', 'Make it with the tool that it comes from.')
    }
    return { [path]: text, ...(await projectBeside(code, path)) }
  },

  requiresPython: (files, path) => /^requires-python\s*=\s*["']([^"'\n]*)["']/m.exec(headOf(files[path]))?.[1],

  async lock(spec, probe, resolve) {
    const lock = spec.files[spec.path] ?? ''
    try {
      const folder = spec.path.split('/').slice(0, -1).join('/')
      const { text, artifacts } = await resolve({ lock, folder, ...chosen(spec) })
      return {
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
        text,
        artifacts,
        source: spec.path,
        requirements: [],
        unpinned: [],
        resolvedAt: Date.now(),
      }
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, lock, probe)
      throw error
    }
  },

  notes: olderNotes,

  locate(spec, name) {
    return placeOfPackage(spec.path, spec.files[spec.path] ?? '', name)
  },
}

/** What is said of all packages: some say more of themselves. */
function headOf(lock = ''): string {
  return lock.split(/^\[\[\s*packages\s*\]\]/m, 1)[0] ?? ''
}

function explain(error: ResolverRefused, spec: InterpreterSpec, text: string, probe: Probe): ResolutionFailed {
  const named = error.package ?? /package "([^"]+)"/.exec(error.message)?.[1]
  const line = Number(/at line (\d+)/.exec(error.message)?.[1]) || pointedAt(error.message, text)
  const place = line
    ? { line }
    : named === undefined
      ? undefined
      : placeOfPackage(spec.path, text, normalizeName(named))
  const about = error.package === undefined ? '' : `${error.package}: `
  return new ResolutionFailed(spec.path, place?.line, about + error.message, hintFor(error, probe))
}

function hintFor({ step, message }: ResolverRefused, { version, machine, libc }: Probe): string {
  const target = `Python ${version} on ${machine} with ${libc.name} ${libc.version}`
  if (step === 'lock') return 'Make the file anew with the tool that it comes from; it must follow the specification.'
  if (step === 'hash') return 'Make the lock anew with sha256 hashes.'
  if (step === 'option') return 'Name one that the file lists at its top, or take the input out.'
  if (step === 'kind') return 'Lock a release from an index.'
  if (step === 'platform') return 'Exclude it where it is asked for, by that marker, and make the lock anew.'
  if (step === 'path' && message.includes(' file:')) {
    return 'That is a path of the machine that made the lock, as "pip lock" writes it: write path = "…" for the url, relative to this file, or make the lock by "uv pip compile --format pylock.toml".'
  }
  if (step === 'path') return 'Name only what lies in the repository, by paths relative to this file.'
  if (/python/i.test(message)) return `Lock for ${target}, or ask for the python-version that the lock is for.`
  return `Make a lock that holds files for ${target}.`
}

/** The line of `packages[3].wheels[0]`, as far as its package. */
function pointedAt(message: string, text: string): number | undefined {
  const index = /packages\[(\d+)\]/.exec(message)?.[1]
  if (index === undefined) return undefined
  const tables = [...text.matchAll(/^\[\[\s*packages\s*\]\]/gm)]
  return lineAt(text, tables[Number(index)]?.index)
}
