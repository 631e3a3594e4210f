import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { checkPython, condaArtifact, condaLock, condaTarget, fits, hasCredentials, parseCondaUrl } from '../conda.ts'
import type { CondaTarget } from '../conda-target.ts'
import type { Artifact } from '../lock.ts'
import type { InterpreterSpec } from '../spec.ts'
import { pipArtifact } from './conda-lock-pip.ts'
import { wrongPlatform } from './conda-platform.ts'
import type { Format } from './format.ts'
import { requiredText } from './required-text.ts'

/** What `conda list --explicit` writes, with or without hashes; taken as it is. */
export const condaExplicitFormat: Format = {
  name: 'conda-explicit',
  options: [],

  async load(code, path) {
    const files = { [path]: await requiredText(code, path) }
    readAll({ path, files })
    return files
  },

  async lock(spec, probe) {
    const target = condaTarget(spec.path, probe)
    const packages = readAll(spec)
    checkPlatform(spec.path, packages, target)
    const artifacts = packages.map(({ artifact }) => artifact)
    checkPython(spec, artifacts)
    return condaLock(spec.path, artifacts, { subdir: target.subdir, variables: {}, pip: [] })
  },

  locate(spec, name) {
    const found = readAll(spec).find(({ artifact }) => artifact.name === name)
    return found && { file: spec.path, line: found.line }
  },
}

/** `# pip NAME @ URL#sha256=HEX` */
const PIP = /^# pip (\S+) @ ([^#\s]+)(?:#sha256=([0-9a-f]{64}))?$/
const CREDENTIALS = 'its address holds a user name, password or token'

interface Row {
  artifact: Artifact
  line: number
}

function readAll({ path, files }: Pick<InterpreterSpec, 'path' | 'files'>): Row[] {
  const lines = (files[path] ?? '').split('\n').map((text, index) => ({ text: text.trim(), line: index + 1 }))
  const said = lines.filter(({ text }) => PIP.test(text) || (text !== '' && !text.startsWith('#')))
  if (!said.some(({ text }) => text === '@EXPLICIT')) {
    const why = said.length === 0 ? 'it is empty' : 'it has no line @EXPLICIT'
    throw new EnvironmentFileError(path, undefined, why, 'Make it by: conda list --explicit --sha256 > FILE')
  }
  const rows = said
    .filter(({ text }) => text !== '@EXPLICIT')
    .map((line) => (PIP.test(line.text) ? pipLine(path, line) : parseLine(path, line)))
  const seen = new Map<string, number>()
  for (const { artifact, line } of rows) {
    const before = seen.get(artifact.name)
    if (before !== undefined) {
      const hint = 'Keep one of the two lines.'
      throw new EnvironmentFileError(path, line, `${artifact.name} is listed on line ${before} already`, hint)
    }
    seen.set(artifact.name, line)
  }
  return rows
}

/** A package of pip that conda-lock renders for what can install it: a comment for all others. */
function pipLine(path: string, { text, line }: { text: string; line: number }): Row {
  const [, name = '', url = '', sha256] = PIP.exec(text) ?? []
  const hint = 'Render the list anew with conda-lock, or put conda-lock.yml itself in its place.'
  if (hasCredentials(url)) throw new EnvironmentFileError(path, line, `${name}: ${CREDENTIALS}`, hint)
  const artifact = pipArtifact({ name, url, sha256 })
  if (artifact) return { artifact, line }
  throw new EnvironmentFileError(
    path,
    line,
    `${name}: ${url} is no wheel or source distribution that can be fetched`,
    hint,
  )
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
  const foreign = rows.filter(({ artifact }) => artifact.conda && !fits(artifact.conda.subdir, target))
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
