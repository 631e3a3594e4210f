import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { environmentText } from '../../../common/environment-text.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Artifact } from '../lock.ts'
import { descriptions } from '../project-files.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import { chosen, type InterpreterSpec } from '../spec.ts'
import { explainUv } from './explain-uv.ts'
import type { Format } from './format.ts'
import { LoadedProjects, UV_TOML } from './loaded-projects.ts'
import { placeOfText } from './lock-places.ts'
import { type Project, type ProjectRequirement, placeOfRequirement, readProject } from './project.ts'
import { checkProject, checkSources, dynamicNeed } from './pyproject-checks.ts'
import { tableAt } from './read-toml.ts'
import { refusalHint } from './refusal-hint.ts'
import { requiredText } from './required-text.ts'
import { isExact, parseRequirement } from './requirement-lines.ts'
import { addProjects, withLocalProjects, workspaceAbove } from './uv-sources.ts'

/** pyproject.toml without a lock: its dependencies, extras and groups, and the project itself where it is a package. */
export const pyprojectFormat: Format = {
  name: 'pyproject.toml',
  options: ['groups', 'extras'],

  async load(code, path) {
    const text = await requiredText(code, path)
    const there = new Set(await code.paths())
    checkProject(readProject(path, text), text, there)
    const files = await withLocalProjects(code, path, text)
    const above = await workspaceAbove(code, path)
    await addProjects(code, files, above)
    const settings = posix.join(posix.dirname(above[0] ?? path), UV_TOML)
    const uv = await code.read(settings)
    if (uv) files[settings] = environmentText(settings, uv)
    const projects = new LoadedProjects({ files, path })
    checkSources(projects.all, files, there)
    // An index that can't be asked is said before anything is.
    projects.settings()
    // Where a pyproject.toml does not say all: what else the build backend reads.
    const whole = projects.all.filter((project) => dynamicNeed(project) === undefined).map(({ file }) => file)
    const folders = projects.folders.filter((folder) => !whole.includes(posix.join(folder, 'pyproject.toml')))
    return { ...(await descriptions(code, folders)), ...files }
  },

  async local(code, { path, files }) {
    const archives = new LoadedProjects({ files, path }).archives(await code.paths())
    const hashes = archives.map(async (file) => [file, (await code.hash(file)) ?? ''])
    return Object.fromEntries(await Promise.all(hashes))
  },

  requiresPython: (files, path) => projectOf({ files, path }).requiresPython,

  async lock(spec, _probe, resolve) {
    const project = projectOf(spec)
    const wanted = wantedOf(project, spec)
    const loaded = new LoadedProjects(spec)
    // uv itself says which of them are editable.
    const projects = loaded.folders.map((path) => ({ path, editable: false }))
    try {
      const { text, artifacts } = await resolve({
        files: spec.files,
        path: spec.path,
        prereleases: false,
        sources: { projects, files: Object.keys(spec.local ?? {}), git: [] },
        project: {
          uv: loaded.settings(),
          ...chosen(spec),
          dependencies: project.name !== undefined,
          ...(project.isPackage && project.name !== undefined && { installed: project.name }),
        },
      })
      return {
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
        text,
        artifacts,
        source: spec.path,
        requirements: wanted.map(({ extra: _extra, group: _group, ...row }) => row),
        unpinned: unpinned(wanted, artifacts),
        resolvedAt: Date.now(),
      }
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, project)
      throw error
    }
  },

  notes(spec) {
    const asked = new Set(spec.groups?.map(normalizeName))
    const groups = Object.keys(tableAt(projectOf(spec).content, 'dependency-groups'))
    const left = groups.filter((group) => !asked.has(normalizeName(group)))
    if (left.length === 0) return []
    return [`without a lock no group is installed by default: name ${left.join(', ')} with the input "groups"`]
  },

  locate(spec, name) {
    const row = projectOf(spec).requirements.find((each) => each.name === name)
    return row && { file: row.file, line: row.line }
  },
}

function projectOf({ files, path }: Pick<InterpreterSpec, 'files' | 'path'>): Project {
  return readProject(path, files[path] ?? '')
}

function wantedOf({ requirements }: Project, { extras = [], groups = [] }: InterpreterSpec): ProjectRequirement[] {
  const [wantedExtras, wantedGroups] = [extras, groups].map((names) => new Set(names.map(normalizeName)))
  return requirements.filter(
    ({ extra, group }) =>
      (extra === undefined || wantedExtras?.has(extra)) && (group === undefined || wantedGroups?.has(group)),
  )
}

function unpinned(rows: ProjectRequirement[], artifacts: Artifact[]): string[] {
  const installed = new Set(artifacts.map(({ name }) => name))
  const open = rows.filter(({ text, name }) => {
    const { specifier, target } = parseRequirement(text)
    return installed.has(name) && !isExact(specifier) && target === undefined
  })
  return [...new Set(open.map(({ name }) => name))].sort()
}

function explain(error: ResolverRefused, spec: InterpreterSpec, { requirements }: Project): ResolutionFailed {
  if (error.step === 'uv') return explainUv(error, spec, requirements)
  const isWritten = error.step === 'requirement'
  const place = (isWritten && placeOfRequirement(spec.files, error)) || placeOfText(spec.files, addressOf(error))
  const row = requirements.find(({ name }) => name === error.package)
  const message = error.package === undefined || isWritten ? error.message : `${error.package}: ${error.message}`
  const { file = spec.path, line } = place ?? row ?? {}
  return new ResolutionFailed(file, line, message, hintFor(error, spec.path))
}

/** The address that an error is about, as the files have it; empty where it is about none. */
function addressOf({ step, message, url }: ResolverRefused): string {
  if (step !== 'git' && step !== 'requirement') return url ?? ''
  return /\b(?:https?|file):\/\/[^\s@]+/.exec(message)?.[0].replace(/:$/, '') ?? ''
}

function hintFor(error: ResolverRefused, path: string): string {
  if (error.step === 'platform') return 'Exclude it by that marker where it is asked for.'
  return (
    refusalHint(error) ?? `Ask in ${posix.basename(path)} for a version that has files for this Python and platform.`
  )
}
