import { posix } from 'node:path'
import { isMap, isScalar, isSeq } from 'yaml'
import { environmentText } from '../../../common/environment-text.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { allowsRelease } from '../../policy/python-range.ts'
import { specName, specVersions } from '../conda-spec.ts'
import { ResolutionFailed } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { LockedPackage } from './conda-lock-file.ts'
import type { TextAt } from './conda-yaml.ts'
import type { CodeFiles } from './format.ts'
import { readYaml } from './read-yaml.ts'
import { parseRequirement } from './requirement-lines.ts'

/**
 * Whether a conda-lock.yml is older than the environment files that it was made from. Its own hash of them covers what
 * only conda-lock knows (its virtual packages, names that it looks up): packages are compared by their names instead,
 * and by their versions where these are plain numbers.
 */

/** What an environment file asks for. */
interface Source {
  file: string
  category: string
  conda: TextAt[]
  pip: TextAt[]
}

/** conda-lock's own way to leave a line out elsewhere: `- pywin32  # [win]` */
const SELECTOR = /#.*\[[^[\]]+\]/
/** What comes with Python or with a `pip:` section, asked for or not. */
const IMPLIED = new Set(['pip', 'setuptools', 'wheel'])

/**
 * The environment files that a lock names, as far as the code has them.
 * @param sources relative to the lock's folder
 * @throws {EnvironmentFileError} for one that is no YAML
 */
export async function loadSources(code: CodeFiles, lock: string, sources: string[]): Promise<EnvironmentFiles> {
  const files: EnvironmentFiles = {}
  for (const file of sources.map((each) => posix.join(posix.dirname(lock), each))) {
    // Others (pyproject.toml, meta.yaml) say it otherwise.
    if (!/\.ya?ml$/.test(file) || /^meta\.ya?ml$/.test(posix.basename(file)) || /^(?:\/|\.\.\/)/.test(file)) continue
    const bytes = await code.read(file)
    if (bytes === undefined) continue
    files[file] = environmentText(file, bytes)
    sourceOf(file, files[file])
  }
  return files
}

/**
 * @param packages those of one platform
 * @throws {ResolutionFailed} where a file asks conda for a package that the lock has not, or anybody for another version
 */
export function checkSources(spec: InterpreterSpec, packages: LockedPackage[]): void {
  const versions = (of: LockedPackage['manager']) =>
    new Map(packages.flatMap(({ manager, name, version }) => (manager === of ? [[name, version]] : [])))
  const [byConda, byPip] = [versions('conda'), versions('pip')]
  for (const { file, category, conda, pip } of sourcesOf(spec)) {
    // Locked without this category.
    if (!packages.some((each) => each.category === category)) continue
    const fail = ({ text, line }: TextAt, has: string) => {
      const why = `${text}: ${spec.path} has ${has}, so it is older than this file`
      throw new ResolutionFailed(file, line, why, renewal(spec.path))
    }
    for (const each of conda) {
      const version = byConda.get(specName(each.text))
      if (version === undefined) fail(each, 'no such package')
      else if (!allowsRelease(specVersions(each.text) ?? '', version)) fail(each, version)
    }
    for (const each of pip) {
      const { name = '', specifier } = parseRequirement(each.text)
      const version = byPip.get(name)
      // A marker may leave it out here.
      if (version !== undefined && !each.text.includes(';') && !allowsRelease(specifier, version)) fail(each, version)
    }
  }
}

/**
 * What a lock may have too much, or too little for pip: sentences.
 * @param sources as the lock names them
 */
export function sourceNotes(spec: InterpreterSpec, packages: LockedPackage[], sources: string[]): string[] {
  const known = sourcesOf(spec)
  const locked = new Set(packages.map(({ name }) => normalizeName(name)))
  const missing = known.flatMap(({ file, pip }) =>
    pip.flatMap(({ text, line }) => {
      const { name } = parseRequirement(text)
      return name === undefined || text.includes(';') || locked.has(name) ? [] : [`${name} of ${file}:${line}`]
    }),
  )
  const wanted = new Set([
    ...packages.flatMap(({ dependencies }) => Object.keys(dependencies)),
    ...known.flatMap(({ conda }) => conda.map(({ text }) => specName(text))),
  ])
  const extra = packages.filter(
    ({ manager, name }) => manager === 'conda' && !wanted.has(name) && !IMPLIED.has(name) && !name.startsWith('__'),
  )
  const names = [...new Set(extra.map(({ name }) => name))]
  const all = known.length === sources.length && names.length > 0
  const fix = `If it is older than that: ${renewal(spec.path)}`
  return [
    ...(missing.length > 0 ? [`${spec.path} has nothing of that name: ${missing.join(', ')}. ${fix}`] : []),
    ...(all ? [`${spec.path} has what ${sources.join(' and ')} does not ask for: ${names.join(', ')}. ${fix}`] : []),
  ]
}

function sourcesOf({ path, files }: InterpreterSpec): Source[] {
  return Object.entries(files).flatMap(([file, text]) => (file === path ? [] : [sourceOf(file, text)]))
}

/** As conda-lock reads it: entries that are neither text nor `pip:` count for nothing. */
function sourceOf(file: string, text: string): Source {
  const { document, lineOf } = readYaml(file, text, 'Correct that line.')
  const lines = text.split('\n')
  const root = isMap(document.contents) ? document.contents : undefined
  const textsOf = (list: unknown) =>
    (isSeq(list) ? list.items : []).flatMap((item): TextAt[] => {
      const line = lineOf(item) ?? 1
      const isText = isScalar(item) && typeof item.value === 'string'
      return isText && !SELECTOR.test(lines[line - 1] ?? '') ? [{ text: item.value as string, line }] : []
    })
  const dependencies = root?.get('dependencies', true)
  const nested = isSeq(dependencies) ? dependencies.items : []
  const category = root?.get('category')
  return {
    file,
    category: typeof category === 'string' ? category : 'main',
    conda: textsOf(dependencies),
    pip: nested.flatMap((item) => textsOf(isMap(item) ? item.get('pip', true) : undefined)),
  }
}

function renewal(lock: string): string {
  return `Run "conda-lock lock --lockfile ${lock}" and commit ${lock}.`
}
