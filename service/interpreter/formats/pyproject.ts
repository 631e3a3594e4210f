import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Artifact } from '../lock.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import { chosen, type InterpreterSpec } from '../spec.ts'
import { explainUv } from './explain-uv.ts'
import type { Format } from './format.ts'
import { lineAt } from './lock-places.ts'
import { type Project, type ProjectRequirement, readProject } from './project.ts'
import { isTable, tableAt } from './read-toml.ts'
import { requiredText } from './required-text.ts'
import { isExact, parseRequirement } from './requirement-lines.ts'
import { withLocalProjects } from './uv-sources.ts'

/** pyproject.toml without a lock: its dependencies, extras and groups, and the project itself where it is a package. */
export const pyprojectFormat: Format = {
  name: 'pyproject.toml',
  options: ['groups', 'extras'],

  async load(code, path) {
    const text = await requiredText(code, path)
    checkProject(readProject(path, text), text)
    return await withLocalProjects(code, path, text)
  },

  requiresPython: (files, path) => projectOf({ files, path }).requiresPython,

  async lock(spec, _probe, resolve) {
    const project = projectOf(spec)
    const wanted = wantedOf(project, spec)
    checkSources(project, wanted)
    try {
      const { text, artifacts } = await resolve({
        files: spec.files,
        path: spec.path,
        prereleases: false,
        project: {
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

  locate(spec, name) {
    const row = projectOf(spec).requirements.find((each) => each.name === name)
    return row && { file: row.file, line: row.line }
  },
}

function projectOf({ files, path }: Pick<InterpreterSpec, 'files' | 'path'>): Project {
  return readProject(path, files[path] ?? '')
}

/** @throws {EnvironmentFileError} where the file does not say what the project needs */
function checkProject({ file, name, content, dynamic }: Project, text: string): void {
  const fail = (line: number | undefined, message: string, hint: string) =>
    new EnvironmentFileError(file, line, message, hint)
  if (name === undefined && Object.keys(tableAt(content, 'tool', 'poetry')).length > 0) {
    const line = lineAt(text, /^\[tool\.poetry/m.exec(text)?.index)
    throw fail(
      line,
      'only [tool.poetry] says what this project needs, and there is no poetry.lock beside it',
      'Run "poetry lock" and commit poetry.lock; or move the dependencies to [project], as the standard has them.',
    )
  }
  if (name === undefined && Object.keys(tableAt(content, 'dependency-groups')).length === 0) {
    throw fail(
      lineAt(text, /^\[\s*project\s*\]/m.exec(text)?.index),
      'it has no [project] with a name, and no [dependency-groups]: nothing says what is to be installed',
      'Add a [project] with name, version and dependencies, or name another file with the input "interpreter".',
    )
  }
  const unknown = dynamic.find((field) => field === 'dependencies' || field === 'optional-dependencies')
  if (unknown !== undefined) {
    throw fail(
      lineAt(text, /^dynamic\s*=/m.exec(text)?.index),
      `${unknown} is dynamic: only the project's build backend knows what it needs`,
      `Write ${unknown} into [project], or commit a lock ("uv lock"), or name a requirements file as "interpreter".`,
    )
  }
}

/** @throws {ResolutionFailed} for what comes from git: only a lock says from which commit */
function checkSources({ file, content }: Project, wanted: ProjectRequirement[]): void {
  const sources = tableAt(content, 'tool', 'uv', 'sources')
  const fromGit = new Set(
    Object.entries(sources).flatMap(([name, source]) =>
      [source].flat().some((each) => isTable(each) && 'git' in each) ? normalizeName(name) : [],
    ),
  )
  const found = wanted.find(
    ({ name, text }) => fromGit.has(name) || parseRequirement(text).target?.startsWith('git+') === true,
  )
  if (found === undefined) return
  throw new ResolutionFailed(
    file,
    found.line,
    `${found.name}: it comes from git, and only a lock says from which commit`,
    'Run "uv lock" and commit uv.lock beside this file; or depend on a release.',
  )
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
  if (error.step === 'uv') return explainUv(error.message, spec, requirements)
  const row = requirements.find(({ name, text }) => name === error.package || text === error.package)
  const message = error.package === undefined ? error.message : `${error.package}: ${error.message}`
  return new ResolutionFailed(row?.file ?? spec.path, row?.line, message, hintFor(error, spec.path))
}

function hintFor({ step }: ResolverRefused, path: string): string {
  if (step === 'requirement') return 'Correct this line: a requirement looks like name==1.2.3 or name>=1,<2.'
  if (step === 'platform') return 'Exclude it by that marker where it is asked for.'
  return `Ask in ${posix.basename(path)} for a version that has files for this Python and platform.`
}
