import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Lock } from '../lock.ts'
import type { Probe } from '../probe.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import type { InterpreterSpec } from '../spec.ts'
import type { CodeFiles, Format } from './format.ts'
import { lineOfName, lineOfPackage, poetryRequirements } from './poetry-project.ts'
import { checkSources } from './poetry-sources.ts'
import { readToml } from './read-toml.ts'

/** poetry.lock with its pyproject.toml, made by any version of poetry since 1.1. https://python-poetry.org/docs/ */
export const poetryFormat: Format = {
  name: 'poetry.lock',
  options: ['groups', 'extras'],

  async load(code, path) {
    const project = projectOf(path)
    const files = {
      [path]: await textOf(code, path, '"poetry lock" makes it: commit it, or correct "interpreter".'),
      [project]: await textOf(code, project, `Commit the one that ${path} was made from.`),
    }
    readToml(project, files[project] ?? '', 'Correct this line.')
    const lock = files[path] ?? ''
    checkSources(path, lock, readToml(path, lock, RELOCK))
    return files
  },

  async lock(spec, probe, resolve) {
    const { files, groups = [], extras = [] } = spec
    const folder = posix.dirname(spec.path).replace(/^\.$/, '')
    try {
      const { text, artifacts } = await resolve({ poetry: { files, folder, groups, extras } })
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

const RELOCK = 'Run "poetry lock" and commit poetry.lock.'

function projectOf(lock: string): string {
  return posix.join(posix.dirname(lock), 'pyproject.toml')
}

function projectText({ path, files }: InterpreterSpec): string {
  return files[projectOf(path)] ?? ''
}

async function textOf(code: CodeFiles, path: string, hint: string): Promise<string> {
  const bytes = await code.read(path)
  if (bytes === undefined) throw new EnvironmentFileError(path, undefined, 'there is no such file', hint)
  return environmentText(path, bytes)
}

/** In terms of the project: where it is said, and what to do about it. */
function explain(error: ResolverRefused, spec: InterpreterSpec, { version, machine, libc }: Probe): ResolutionFailed {
  const { step, message } = error
  const project = projectOf(spec.path)
  const target = `Python ${version} on ${machine} with ${libc.name} ${libc.version}`
  if (step === 'python') {
    const hint = 'Ask for a python-version that the project allows, or let the project allow it and run "poetry lock".'
    return new ResolutionFailed(project, lineOfName(projectText(spec), 'python', 'requires-python'), message, hint)
  }
  if (step === 'option') {
    return new ResolutionFailed(project, undefined, message, 'Correct this input, or add to the project what it names.')
  }
  if (step === 'poetry') {
    const ofProject = /configuration is invalid|pyproject\.toml file|section (?:not )?found/i.test(message)
    const hint = ofProject ? 'Correct pyproject.toml: "poetry check" finds the same.' : RELOCK
    return new ResolutionFailed(ofProject ? project : spec.path, undefined, message, hint)
  }
  const place = error.package === undefined ? undefined : poetryFormat.locate(spec, normalizeName(error.package))
  const about = error.package === undefined ? '' : `${error.package}: `
  const hint =
    step === 'path'
      ? 'Move it into the repository, or depend on a release of it.'
      : step === 'hash'
        ? `The files on the index are others than those that were locked, or the lock is damaged. ${RELOCK}`
        : step === 'select'
          ? `Lock a version that has files for ${target}: "poetry update ${error.package ?? ''}".`
          : RELOCK
  return new ResolutionFailed(place?.file ?? spec.path, place?.line, about + message, hint)
}
