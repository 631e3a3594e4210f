import { createHash } from 'node:crypto'
import { requirementsClosure } from '../../../common/requirements-closure.ts'
import type { Artifact, Lock, Requirement } from '../lock.ts'
import { type AllowedHashes, ResolutionFailed, ResolverRefused } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import { explainUv } from './explain-uv.ts'
import type { Format, Place } from './format.ts'
import { checkOption, checkRequirement } from './requirement-checks.ts'
import {
  isExact,
  type ParsedRequirement,
  parseOption,
  parseRequirement,
  requirementLines,
} from './requirement-lines.ts'

/** requirements.txt, pinned or not, with hashes or without, with all that it includes. */
export const requirementsFormat: Format = {
  name: 'requirements.txt',
  options: [],

  async load(code, path) {
    const files = await requirementsClosure((file) => code.read(file), path)
    readAll({ path, files })
    return files
  },

  async lock(spec, _probe, resolve) {
    const contents = readAll(spec)
    const hashes = allowedHashes(contents)
    try {
      const { text, artifacts } = await resolve({
        files: spec.files,
        path: spec.path,
        prereleases: contents.options.has('--pre'),
        ...(hashes ? { hashes } : {}),
      })
      return {
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
        text,
        artifacts,
        source: spec.path,
        requirements: contents.rows.map(({ parsed: _, ...row }) => row),
        unpinned: unpinned(contents.rows, artifacts),
        resolvedAt: Date.now(),
      } satisfies Lock
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, contents.rows)
      throw error
    }
  },

  locate(spec, name) {
    return placeOf(readAll(spec).rows, name)
  },
}

interface Row extends Requirement {
  parsed: ParsedRequirement
}

interface Contents {
  rows: Row[]
  /** Names of the options of whole lines. */
  options: Set<string>
}

/** Everything that the files say, each line checked. A file that is only included by `-c` holds constraints. */
function readAll({ path, files }: { path: string; files: EnvironmentFiles }): Contents {
  const asking = askingFiles(path, files)
  const contents: Contents = { rows: [], options: new Set() }
  for (const [file, text] of Object.entries(files)) {
    for (const { line, text: content } of requirementLines(text)) {
      const option = parseOption(content)
      if (option) {
        checkOption({ file, line }, option)
        contents.options.add(option.name)
        continue
      }
      const parsed = parseRequirement(content)
      checkRequirement({ file, line }, parsed)
      const row = { name: parsed.name ?? '', text: parsed.text, file, line, parsed }
      contents.rows.push(asking.has(file) ? row : { ...row, constraint: true })
    }
  }
  return contents
}

/** The files that are reached by `-r` alone. */
function askingFiles(path: string, files: EnvironmentFiles, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found
  found.add(path)
  for (const { text } of requirementLines(files[path] ?? '')) {
    const option = parseOption(text)
    if (option?.name !== '-r' && option?.name !== '--requirement') continue
    const target = option.value.replace(/^(["'])(.*?)\1.*$/, '$2')
    const included = new URL(target, `file:///${path}`).pathname.slice(1)
    askingFiles(decodeURIComponent(included), files, found)
  }
  return found
}

/** The hashes of each package where any line has some: then all must have them, as for pip. */
function allowedHashes({ rows, options }: Contents): AllowedHashes | undefined {
  const given = rows.map((row) => ({ row, hashes: row.parsed.options.filter(({ name }) => name === '--hash') }))
  if (!options.has('--require-hashes') && given.every(({ hashes }) => hashes.length === 0)) return undefined
  const allowed: Record<string, string[]> = {}
  for (const { row, hashes } of given) {
    const sha256 = hashes.flatMap(({ value }) => /^sha256:([0-9a-f]{64})$/i.exec(value)?.[1]?.toLowerCase() ?? [])
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

function explain(error: ResolverRefused, spec: InterpreterSpec, rows: Row[]): ResolutionFailed {
  if (error.step === 'uv') return explainUv(error.message, spec, rows)
  const place = error.package === undefined ? undefined : placeOf(rows, error.package)
  const about = error.package === undefined ? '' : `${error.package}: `
  const hint =
    error.step === 'hash'
      ? 'Write the hashes of all packages, dependencies included: "uv pip compile --generate-hashes" makes such a file.'
      : 'Ask for a version that has files for this Python and platform, or another Python version.'
  return new ResolutionFailed(place?.file ?? spec.path, place?.line, about + error.message, hint)
}
