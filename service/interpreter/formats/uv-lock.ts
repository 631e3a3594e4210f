import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Probe } from '../probe.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { Format, Place } from './format.ts'
import { UV_TOML } from './loaded-projects.ts'
import { lineAt, placeOfPackage } from './lock-places.ts'
import { type ProjectRequirement, readProject } from './project.ts'
import { readToml } from './read-toml.ts'
import { requiredText } from './required-text.ts'
import { uvChoice } from './uv-choice.ts'
import { checkFolderFiles, folderFiles, withFolderHashes } from './uv-lock-files.ts'
import { addProjects, insideTree, withLocalProjects } from './uv-sources.ts'

/** uv.lock, with the pyproject.toml files that it was made from. https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile */
export const uvLockFormat: Format = {
  name: 'uv.lock',
  options: ['groups', 'without-groups', 'extras'],
  yankedUnsaid: true,

  async load(code, path) {
    const lock = await requiredText(code, path, 'Run "uv lock" and commit it, or correct "interpreter".')
    if (lock.trim() === '') throw new EnvironmentFileError(path, undefined, 'is empty', renewal(path))
    const root = posix.join(posix.dirname(path), 'pyproject.toml')
    const text = await requiredText(code, root, `Commit it: ${path} is the lock of that project.`)
    const files = await withLocalProjects(code, root, text)
    const settings = posix.join(posix.dirname(path), UV_TOML)
    const uv = await code.read(settings)
    if (uv) {
      files[settings] = environmentText(settings, uv)
      readToml(settings, files[settings], 'Correct this line; the file must be TOML.')
    }
    await addProjects(code, files, localProjects(path, lock))
    checkFolderFiles(path, lock, new Set(await code.paths()))
    return { [path]: lock, ...files }
  },

  async local(code, { path, files }) {
    const hashes = folderFiles(path, files[path] ?? '').map(async (file) => [file, (await code.hash(file)) ?? ''])
    return Object.fromEntries(await Promise.all(hashes))
  },

  requiresPython: (files, path) => /^requires-python = "([^"]*)"$/m.exec(files[path] ?? '')?.[1],

  async lock(spec, probe, resolve) {
    const requirements = requirementsOf(spec)
    const files = withFolderHashes(spec.path, spec.files, spec.local ?? {})
    const choice = uvChoice(spec, requirements)
    try {
      const { text, artifacts } = await resolve({ files, uvLock: spec.path, ...choice })
      return {
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
        text,
        artifacts,
        source: spec.path,
        requirements: requirements.map(({ extra: _extra, group: _group, ...row }) => row),
        unpinned: [],
        resolvedAt: Date.now(),
      }
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, requirements, probe)
      throw error
    }
  },

  locate(spec, name) {
    return placeOfPackage(spec.path, spec.files[spec.path] ?? '', name)
  },
}

/** The pyproject.toml files of what a lock has by path. */
function localProjects(path: string, lock: string): string[] {
  const sources = lock.matchAll(/^source = \{ (?:editable|virtual|directory|path) = "([^"]+)" \}$/gm)
  return [...sources].map(({ 1: written = '', index }) =>
    posix.join(insideTree(path, lineAt(lock, index), written), 'pyproject.toml'),
  )
}

function requirementsOf({ files }: InterpreterSpec): ProjectRequirement[] {
  const projects = Object.entries(files).filter(([file]) => posix.basename(file) === 'pyproject.toml')
  return projects.flatMap(([file, text]) => readProject(file, text).requirements)
}

function explain(
  error: ResolverRefused,
  spec: InterpreterSpec,
  requirements: ProjectRequirement[],
  probe: Probe,
): ResolutionFailed {
  const { path, files } = spec
  const { step, message } = error
  const hint = hintFor(error, path, probe)
  if (step === 'stale' || step === 'requirement') {
    const row = requirements.find(({ text, file }) => text === error.package && message.startsWith(`${file} `))
    const place = row ?? (error.package === undefined ? undefined : placeOfKey(error.package, message, files))
    return new ResolutionFailed(place?.file ?? path, place?.line, message, hint)
  }
  if (step === 'uv') {
    const said = message.trim().replace(/^error: /, '')
    const line = Number(/parse `uv\.lock`[\s\S]*?at line (\d+)/.exec(said)?.[1])
    return new ResolutionFailed(path, line || undefined, said, hint)
  }
  const place = error.package === undefined ? undefined : placeOfPackage(path, files[path] ?? '', error.package)
  const about = error.package === undefined ? '' : `${error.package}: `
  return new ResolutionFailed(path, place?.line, about + message, hint)
}

/** What a line of TOML gives a value, or a table. */
const KEY = /^\s*(?:(["']?)([\w.-]+)\1\s*=|\[+(?:[\w-]+\.)*["']?([\w.-]+)["']?\]+\s*$)/

/** Where a project has a setting or a source, or else speaks of it. */
function placeOfKey(key: string, message: string, files: EnvironmentFiles): Place | undefined {
  const file = Object.keys(files).find((each) => message.startsWith(`${each} `))
  if (file === undefined) return undefined
  const name = key.replace('tool.uv.sources.', '')
  const lines = (files[file] ?? '').split('\n')
  const keys = lines.map((line) => KEY.exec(line)?.slice(2).find(Boolean))
  const own = keys.findIndex((each) => each !== undefined && normalizeName(each) === normalizeName(name))
  const line = own >= 0 ? own : lines.findIndex((each) => each.includes(`"${name}`) || each.includes(`'${name}`))
  return line < 0 ? undefined : { file, line: line + 1 }
}

function hintFor(
  { step, message, package: name }: ResolverRefused,
  path: string,
  { version, machine, libc }: Probe,
): string {
  if (step === 'stale') return renewal(path)
  if (step === 'requirement') return 'Correct this line: a requirement looks like name==1.2.3 or name>=1,<2.'
  if (step === 'platform') return `Exclude it by that marker where it is asked for. ${renewal(path)}`
  if (step === 'select' && /^Multiple/.test(message)) return 'Ask for one of the groups and extras that have it.'
  if (step === 'select' && name !== undefined) {
    const target = `Python ${version} on ${machine} with ${libc.name} ${libc.version}`
    const upgrade = renewal(path).replace('uv lock', `uv lock --upgrade-package ${name}`)
    return `Allow a version that has files for ${target}, or ask for another python-version. ${upgrade}`
  }
  if (/incompatible with the declared conflicts/.test(message)) {
    return 'Name the pyproject.toml of the project that is meant with the input "interpreter", or one of the groups or extras.'
  }
  if (/is not defined in/.test(message)) {
    return 'Name a group or extra that pyproject.toml has, or take the input out.'
  }
  if (/unsupported schema version/.test(message)) return 'Make the lock with a uv whose locks are of version 1.'
  return renewal(path)
}

/** How a lock is made anew. */
function renewal(path: string): string {
  const folder = posix.dirname(path)
  return `Run "uv lock${folder === '.' ? '' : ` --directory ${folder}`}" and commit ${path}.`
}
