import { onPlatform } from '../../../common/conda-files.ts'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { checkPython, condaArtifact, condaLock, condaTarget, fits, hasCredentials, parseCondaUrl } from '../conda.ts'
import type { CondaTarget } from '../conda-target.ts'
import type { Artifact } from '../lock.ts'
import type { InterpreterSpec } from '../spec.ts'
import { CREDENTIALS, type PipLine, pipLine } from './conda-explicit-pip.ts'
import { condaPip } from './conda-pip.ts'
import { wrongPlatform } from './conda-platform.ts'
import type { Format } from './format.ts'
import { requiredText } from './required-text.ts'

/** What `conda list --explicit` or conda-lock writes, with or without hashes; taken as it is. */
export const condaExplicitFormat: Format = {
  name: 'conda-explicit',
  options: [],
  yankedUnsaid: true,

  async instead(code, path, platform) {
    const own = onPlatform(path, platform)
    return (await code.paths()).includes(own) ? own : path
  },

  async load(code, path) {
    const files = { [path]: await requiredText(code, path) }
    const { pip, open } = readAll({ path, files })
    return { ...files, ...(await condaPip.load(code, path, open ? pip : [])) }
  },

  async local(code, { path, files }) {
    return await condaPip.local(code, path, files)
  },

  async lock(spec, probe) {
    const target = condaTarget(spec.path, probe)
    const { packages, pip, open } = readAll(spec)
    checkPlatform(spec.path, packages, target)
    const artifacts = packages.map(({ artifact }) => artifact)
    checkPython(spec, artifacts)
    const direct = open ? [] : pip.flatMap(({ artifact }) => artifact ?? [])
    const section = open ? pip.map(({ text }) => text) : []
    return condaLock(spec.path, [...artifacts, ...direct], { subdir: target.subdir, variables: {}, pip: section })
  },

  locate(spec, name) {
    const { packages, pip } = readAll(spec)
    const found = packages.find(({ artifact }) => artifact.name === name) ?? pip.find((each) => each.name === name)
    return found ? { file: spec.path, line: found.line } : condaPip.locate(spec, name)
  },
}

const PIP = '# pip '

interface Row {
  artifact: Artifact
  line: number
}

/** What a list says. */
interface Listed {
  packages: Row[]
  /** What pip installs on top. */
  pip: PipLine[]
  /** Whether that has to be resolved: else it is taken as it is, without what it asks for in its turn. */
  open: boolean
}

function readAll({ path, files }: Pick<InterpreterSpec, 'path' | 'files'>): Listed {
  const lines = (files[path] ?? '').split('\n').map((text, index) => ({ text: text.trim(), line: index + 1 }))
  const said = lines.filter(({ text }) => text !== '' && !text.startsWith('#'))
  if (!said.some(({ text }) => text === '@EXPLICIT')) {
    const why = said.length === 0 ? 'it is empty' : 'it has no line @EXPLICIT'
    throw new EnvironmentFileError(path, undefined, why, 'Make it by: conda list --explicit --sha256 > FILE')
  }
  const packages = said.filter(({ text }) => text !== '@EXPLICIT').map((line) => parseLine(path, line))
  const pip = lines
    .filter(({ text }) => text.startsWith(PIP))
    .map(({ text, line }) => pipLine(path, { text: text.slice(PIP.length).trim(), line }))
  const names = linesOf(
    path,
    packages.map(({ artifact, line }) => ({ name: artifact.name, line })),
  )
  linesOf(path, pip)
  // What conda brings as well is for the resolver to see to.
  return { packages, pip, open: pip.some(({ name, artifact }) => !artifact || names.has(name ?? '')) }
}

/** @throws {EnvironmentFileError} where a name is listed twice */
function linesOf(path: string, rows: { name?: string; line: number }[]): Map<string, number> {
  const seen = new Map<string, number>()
  for (const { name, line } of rows) {
    if (name === undefined) continue
    const before = seen.get(name)
    if (before !== undefined) {
      const hint = 'Keep one of the two lines.'
      throw new EnvironmentFileError(path, line, `${name} is listed on line ${before} already`, hint)
    }
    seen.set(name, line)
  }
  return seen
}

function parseLine(path: string, { text, line }: { text: string; line: number }): Row {
  const [url = '', ...rest] = text.split('#')
  const fail = (why: string, hint: string) => new EnvironmentFileError(path, line, why, hint)
  if (hasCredentials(url)) throw fail(CREDENTIALS, 'Take it out; credentials come in a later version.')
  const parsed = parseCondaUrl(url)
  if (!parsed) {
    throw fail(`${url} is no URL of a conda package`, 'It must end like linux-64/NAME-VERSION-BUILD.conda.')
  }
  const hash = rest.join('#').split('&', 1)[0]?.toLowerCase() ?? ''
  const [, sha256, md5] = /^(?:(?:sha256:)?([0-9a-f]{64})|(?:md5:)?([0-9a-f]{32}))$/.exec(hash) ?? []
  if (hash !== '' && !sha256 && !md5) {
    throw fail(`#${hash} is neither an md5 nor a sha256`, 'Correct it, or make the list anew.')
  }
  return { artifact: condaArtifact(url, parsed, { sha256, md5 }), line }
}

/** Before any download: its URLs say which platform each package is for. */
function checkPlatform(path: string, rows: Row[], target: CondaTarget): void {
  const foreign = rows.filter(({ artifact }) => !fits(artifact.conda?.subdir ?? '', target))
  const [first] = foreign
  if (!first) return
  const names = foreign.map(({ artifact }) => `${artifact.name} ${artifact.version}`)
  const { subdir } = target
  const wayOut = [
    `Make the list on ${subdir} ("conda list --explicit --sha256 > conda-${subdir}.lock");`,
    'or commit an environment-linux.yml that names the packages that you ask for yourself, and name that.',
  ].join(' ')
  throw wrongPlatform({ file: path, line: first.line }, first.artifact.conda?.subdir ?? '', target, { names }, wayOut)
}
