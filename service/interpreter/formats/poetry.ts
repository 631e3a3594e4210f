import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Lock } from '../lock.ts'
import type { Probe } from '../probe.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import { chosen, type InterpreterSpec } from '../spec.ts'
import type { Format, Place } from './format.ts'
import { placeOfText } from './lock-places.ts'
import { lineOfName, lineOfPackage, poetryRequirements } from './poetry-project.ts'
import { checkSources, indexesOf } from './poetry-sources.ts'
import { readToml } from './read-toml.ts'
import { requiredText } from './required-text.ts'

/** poetry.lock with its pyproject.toml, made by any version of poetry since 1.1. https://python-poetry.org/docs/ */
export const poetryFormat: Format = {
  name: 'poetry.lock',
  options: ['groups', 'without-groups', 'extras'],

  async load(code, path) {
    const project = projectOf(path)
    const files = {
      [path]: await requiredText(code, path, '"poetry lock" makes it: commit it, or correct "interpreter".'),
      [project]: await requiredText(code, project, `Commit the one that ${path} was made from.`),
    }
    readToml(project, files[project] ?? '', 'Correct this line.')
    const lock = files[path] ?? ''
    if (lock.trim() === '') throw new EnvironmentFileError(path, undefined, 'is empty', renewal(path))
    checkSources(path, lock, readToml(path, lock, renewal(path)))
    return files
  },

  requiresPython: (files, path) => /^python-versions = "([^"]*)"$/m.exec(metadataOf(files[path] ?? ''))?.[1],

  async lock(spec, probe, resolve) {
    const { files } = spec
    const folder = posix.dirname(spec.path).replace(/^\.$/, '')
    try {
      const indexes = indexesOf(readToml(spec.path, files[spec.path] ?? '', renewal(spec.path)))
      const { text, artifacts } = await resolve({ poetry: { files, folder, indexes, ...chosen(spec) } })
      return {
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
        text,
        artifacts,
        source: spec.path,
        requirements: poetryRequirements(projectOf(spec.path), projectText(spec)),
        unpinned: [],
        resolvedAt: Date.now(),
      } satisfies Lock
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, probe)
      throw error
    }
  },

  locate(spec, name) {
    const file = projectOf(spec.path)
    const asked = poetryRequirements(file, projectText(spec)).find((row) => row.name === name)
    if (asked) return { file, line: asked.line }
    const line = lineOfPackage(spec.files[spec.path] ?? '', name)
    return line === undefined ? undefined : { file: spec.path, line }
  },
}

function projectOf(lock: string): string {
  return posix.join(posix.dirname(lock), 'pyproject.toml')
}

/** Packages have `python-versions` too; the project's own stands behind them all. */
function metadataOf(lock: string): string {
  return lock.slice(Math.max(lock.indexOf('\n[metadata]'), 0))
}

function projectText({ path, files }: InterpreterSpec): string {
  return files[projectOf(path)] ?? ''
}

/** In terms of the project: where it is said, and what to do about it. */
function explain(error: ResolverRefused, spec: InterpreterSpec, probe: Probe): ResolutionFailed {
  const { step, message } = error
  const place = placeOf(error, spec)
  const about = error.package === undefined ? '' : `${error.package}: `
  const hint = step === 'poetry' && place.file !== spec.path ? CHECK : hintFor(error, spec.path, probe)
  return new ResolutionFailed(place.file, place.line, about + message.trim(), error.hint ?? hint)
}

function placeOf(
  { step, message, package: name, url }: ResolverRefused,
  spec: InterpreterSpec,
): Partial<Place> & { file: string } {
  const file = projectOf(spec.path)
  const text = projectText(spec)
  if (name !== undefined && step === 'hash') {
    return { file: spec.path, ...lineIn(lineOfPackage(spec.files[spec.path] ?? '', normalizeName(name))) }
  }
  if (name !== undefined) return poetryFormat.locate(spec, normalizeName(name)) ?? { file: spec.path }
  if (url !== undefined) return placeOfText({ [file]: text, ...spec.files }, url) ?? { file: spec.path }
  if (step === 'python') return { file, ...lineIn(lineOfName(text, 'python', 'requires-python')) }
  if (step === 'option' || (step === 'poetry' && /configuration is invalid/.test(message))) return { file }
  const constraint = /version constraint: (.+)$/m.exec(message)?.[1]
  const index = constraint === undefined ? -1 : text.indexOf(constraint)
  return index < 0 ? { file: spec.path } : { file, line: text.slice(0, index).split('\n').length }
}

function lineIn(line: number | undefined): { line?: number } {
  return line === undefined ? {} : { line }
}

const CHECK = 'Correct it: "poetry check" finds the same.'

function hintFor({ step, package: name }: ResolverRefused, path: string, { version, machine, libc }: Probe): string {
  switch (step) {
    case 'python':
      return 'Ask for a python-version that the project allows, or let the project allow it and make the lock anew.'
    case 'option':
      return 'Name one that the project has, or take the input out.'
    case 'path':
      return 'Move it into the repository, or depend on a release of it.'
    case 'index':
      return 'Try again, and check MEADOW_INDEX_URL and MEADOW_CA_BUNDLE.'
    case 'hash':
      return `The index has other files than those that were locked, or the lock is damaged. ${renewal(path)}`
    case 'platform':
      return `Exclude it by that marker where it is asked for. ${renewal(path)}`
    case 'kind':
      return `Depend on a release that has a wheel or a source distribution, or on git. ${renewal(path)}`
    case 'select':
      return `Lock a version that has files for Python ${version} on ${machine} with ${libc.name} ${libc.version}: "poetry update ${name ?? ''}".`
    default:
      return renewal(path)
  }
}

/** How a lock is made anew. */
function renewal(path: string): string {
  const folder = posix.dirname(path)
  return `Run "poetry lock${folder === '.' ? '' : ` --directory ${folder}`}" and commit ${path}.`
}
