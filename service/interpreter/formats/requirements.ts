import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { requirementsClosure } from '../../../common/requirements-closure.ts'
import type { Artifact, Lock } from '../lock.ts'
import { descriptions } from '../project-files.ts'
import { type AllowedHashes, ResolutionFailed, ResolverRefused } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import { explainUv } from './explain-uv.ts'
import type { CodeFiles, Format, Place } from './format.ts'
import { placeOfText } from './lock-places.ts'
import { placeOfRequirement, readProject } from './project.ts'
import { refusalHint } from './refusal-hint.ts'
import { type Contents, type Row, readContents } from './requirement-contents.ts'
import { isExact } from './requirement-lines.ts'

/** requirements.txt, pinned or not, with hashes or without, with all that it includes. */
export const requirementsFormat: Format = {
  name: 'requirements.txt',
  options: [],

  async load(code, path) {
    return await loadRequirements(code, { path })
  },

  async local(code, loaded) {
    return await localFiles(code, loaded)
  },

  requiresPython: (files) => {
    const projects = Object.entries(files).filter(([file]) => posix.basename(file) === 'pyproject.toml')
    return projects.flatMap(([file, text]) => readProject(file, text).requiresPython ?? []).join(',') || undefined
  },

  async lock(spec, _probe, resolve) {
    const contents = readContents(spec)
    const hashes = allowedHashes(contents)
    try {
      const { text, artifacts } = await resolve({
        files: { ...spec.files, ...contents.texts },
        path: spec.path,
        prereleases: contents.options.has('--pre'),
        preferBinary: contents.options.has('--prefer-binary'),
        sources: contents.sources,
        indexes: contents.indexes,
        ...(hashes ? { hashes } : {}),
      })
      return {
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
        text,
        artifacts,
        source: spec.path,
        requirements: contents.rows.map(({ parsed: _, local: __, git: ___, ...row }) => row),
        unpinned: unpinned(contents.rows, artifacts),
        resolvedAt: Date.now(),
      } satisfies Lock
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, contents)
      throw error
    }
  },

  locate(spec, name) {
    return placeOf(readContents(spec).rows, name)
  },
}

type Named = Pick<InterpreterSpec, 'path' | 'folder'>

/**
 * A requirements file, what it includes, and the descriptions of the projects that they name.
 * @throws {EnvironmentFileError} naming file and line
 */
export async function loadRequirements(code: CodeFiles, named: Named): Promise<EnvironmentFiles> {
  const files = await requirementsClosure((file) => code.read(file), named.path)
  const contents = readContents({ ...named, files }, new Set(await code.paths()))
  const folders = contents.sources.projects.map(({ path }) => path)
  const described = await descriptions(code, folders)
  for (const file of folders.map((folder) => posix.join(folder, 'pyproject.toml'))) {
    const text = described[file]
    if (text !== undefined) readProject(file, text)
  }
  return { ...described, ...files }
}

/** Wheels and source distributions of the code that loaded files name: their sha256 in hex. */
export async function localFiles(
  code: CodeFiles,
  loaded: Named & Pick<InterpreterSpec, 'files'>,
): Promise<Record<string, string>> {
  const { sources } = readContents(loaded, new Set(await code.paths()))
  const hashes = sources.files.map(async (file) => [file, (await code.hash(file)) ?? ''])
  return Object.fromEntries(await Promise.all(hashes))
}

/**
 * The hashes of each package where any line has some: then all must have them, as for pip. Those of lines that name none
 * have an empty one.
 */
function allowedHashes({ rows, options }: Contents): AllowedHashes | undefined {
  const given = rows.map((row) => ({ row, hashes: row.parsed.options.filter(({ name }) => name === '--hash') }))
  if (!options.has('--require-hashes') && given.every(({ hashes }) => hashes.length === 0)) return undefined
  const allowed: Record<string, string[]> = {}
  for (const { row, hashes } of given) {
    const inUrl = /#(?:.*&)?sha256=([0-9a-f]{64})/i.exec(row.parsed.target ?? '')?.[1] ?? []
    const behind = hashes.flatMap(({ value }) => /^sha256:([0-9a-f]{64})$/i.exec(value)?.[1] ?? [])
    const sha256 = [...behind, inUrl].flat().map((hash) => hash.toLowerCase())
    allowed[row.name] = [...(allowed[row.name] ?? []), ...sha256]
  }
  return allowed
}

/** What is asked for and left open, by line and by constraint. A line whose marker does not hold asks for nothing. */
function unpinned(rows: Row[], artifacts: Artifact[]): string[] {
  const installed = new Set(artifacts.map(({ name }) => name))
  const pinned = new Set(
    rows.filter(({ parsed }) => isExact(parsed.specifier) || parsed.target).map(({ name }) => name),
  )
  const open = rows.filter(({ name, constraint }) => !constraint && installed.has(name) && !pinned.has(name))
  return [...new Set(open.map(({ name }) => name))].sort()
}

function placeOf(rows: Row[], name: string): Place | undefined {
  const found = rows.filter((row) => row.name === name)
  const row = found.find(({ constraint }) => !constraint) ?? found[0]
  return row && { file: row.file, line: row.line }
}

function explain(error: ResolverRefused, spec: InterpreterSpec, { rows, texts }: Contents): ResolutionFailed {
  if (error.step === 'uv') return explainUv(error, { ...spec, files: { ...spec.files, ...texts } }, rows)
  const place = placeOfRefusal(error, spec, rows)
  const about = error.package === undefined || error.step === 'requirement' ? '' : `${error.package}: `
  const hint =
    error.step === 'hash'
      ? 'Write the hashes of all packages, dependencies included: "uv pip compile --generate-hashes" makes such a file.'
      : 'Ask for a version that has files for this Python and platform, or another Python version.'
  return new ResolutionFailed(place?.file ?? spec.path, place?.line, about + error.message, refusalHint(error) ?? hint)
}

function placeOfRefusal(error: ResolverRefused, { files }: InterpreterSpec, rows: Row[]): Place | undefined {
  const ofGit = () => rows.find(({ git }) => git !== undefined && error.message.includes(git))
  if (error.step === 'requirement') return placeOfRequirement(files, error) ?? ofGit()
  if (error.step === 'git') return ofGit()
  return error.package === undefined ? placeOfText(files, error.url ?? '') : placeOf(rows, error.package)
}
