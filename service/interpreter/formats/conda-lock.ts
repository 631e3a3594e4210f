import { parse } from 'yaml'
import * as z from 'zod/mini'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { checkPython, condaArtifact, condaLock, condaTarget, hasCredentials, parseCondaUrl } from '../conda.ts'
import type { CondaTarget } from '../conda-target.ts'
import type { Artifact } from '../lock.ts'
import type { InterpreterSpec } from '../spec.ts'
import { pipArtifact } from './conda-lock-pip.ts'
import { wrongPlatform } from './conda-platform.ts'
import type { Format } from './format.ts'
import { requiredText } from './required-text.ts'

/** What conda-lock installs where nothing is said. */
const DEFAULT_CATEGORIES = ['main', 'dev']
const HINT = 'Make it anew: conda-lock lock --file environment.yml --platform linux-64'

/** Of a package, what is used. https://github.com/conda/conda-lock/blob/main/conda_lock/lockfile/v1/models.py */
const Package = z.object({
  name: z.string(),
  version: z.string(),
  manager: z.enum(['conda', 'pip']),
  platform: z.string(),
  url: z.string(),
  // Of a git dependency the sha256 is the commit.
  hash: z.object({
    md5: z.nullish(z.string().check(z.regex(/^[0-9a-f]{32}$/))),
    sha256: z.nullish(z.string().check(z.regex(/^(?:[0-9a-f]{64}|[0-9a-f]{40})$/))),
  }),
  category: z._default(z.string(), 'main'),
})
type Package = z.infer<typeof Package>
const LockFile = z.object({ version: z.literal(1), package: z.array(Package) })

/** conda-lock.yml, version 1: for each platform the packages of conda and pip, with hashes; taken as it is. */
export const condaLockFormat: Format = {
  name: 'conda-lock',
  options: ['groups', 'without-groups'],

  async load(code, path) {
    const files = { [path]: await requiredText(code, path) }
    readAll({ path, files })
    return files
  },

  async lock(spec, probe) {
    const target = condaTarget(spec.path, probe)
    const packages = chosen(spec, target)
    const artifacts = packages.map((each) => artifactOf(spec, each))
    checkPython(spec, artifacts)
    return condaLock(spec.path, artifacts, { subdir: target.subdir, variables: {}, pip: [] })
  },

  locate(spec, name) {
    const text = spec.files[spec.path] ?? ''
    const names = [...text.matchAll(/^\s*-?\s*\{?\s*name:\s*['"]?([^'"\s,]+)/gm)]
    const found = names.find(([, each = '']) => each === name || normalizeName(each) === name)
    return found && { file: spec.path, line: text.slice(0, found.index).split('\n').length }
  },
}

function readAll({ path, files }: Pick<InterpreterSpec, 'path' | 'files'>): Package[] {
  const text = files[path] ?? ''
  if (text.trim() === '') throw new EnvironmentFileError(path, undefined, 'it is empty', HINT)
  try {
    return z.parse(LockFile, parse(text, { logLevel: 'error' })).package
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const line = Number(/at line (\d+)/.exec(error.message)?.[1]) || undefined
    const [first] = error instanceof z.core.$ZodError ? error.issues : []
    const why = first ? `${first.path.join('.')}: ${first.message}` : (error.message.split('\n', 1)[0] ?? '')
    throw new EnvironmentFileError(path, line, `is no conda-lock.yml of version 1: ${why}`, HINT)
  }
}

/** Those of the target, in the categories that are asked for. Before any download. */
function chosen(spec: InterpreterSpec, target: CondaTarget): Package[] {
  const all = readAll(spec)
  const { groups = [], 'without-groups': without = [] } = spec
  const wanted = spec.groups ? ['main', ...groups] : DEFAULT_CATEGORIES
  const categories = new Set(wanted.filter((group) => !without.includes(group)))
  const unknown = [...groups, ...without].find((group) => !all.some(({ category }) => category === group))
  if (unknown !== undefined) {
    const known = [...new Set(all.map(({ category }) => category))].join(', ')
    throw new EnvironmentFileError(spec.path, undefined, `groups: there is no ${unknown}`, `Known are ${known}.`)
  }
  const here = all.filter(({ platform }) => platform === target.subdir)
  if (here.length === 0) {
    const platforms = [...new Set(all.map(({ platform }) => platform))].join(', ')
    const names = all.filter(({ url }) => !/\/noarch\//.test(url)).map(({ name, version }) => `${name} ${version}`)
    const wayOut = `Lock it for this platform too: conda-lock lock --file environment.yml --platform ${target.subdir}`
    throw wrongPlatform({ file: spec.path }, platforms, target, { names: [...new Set(names)] }, wayOut)
  }
  const wantedHere = here.filter(({ category }) => categories.has(category))
  // One that is of several categories is listed in each.
  return [...new Map(wantedHere.map((each) => [`${each.manager} ${each.name}`, each])).values()]
}

function artifactOf(spec: InterpreterSpec, { manager, name, version, url, hash }: Package): Artifact {
  const fail = (why: string, hint = HINT) => {
    const line = condaLockFormat.locate(spec, name)?.line
    return new EnvironmentFileError(spec.path, line, `${name}: ${why}`, hint)
  }
  if (hasCredentials(url)) {
    throw fail('its address holds a user name, password or token', 'Take it out; credentials come in a later version.')
  }
  const sha256 = hash.sha256 ?? undefined
  if (manager === 'pip') {
    const artifact = pipArtifact({ name, version, url, sha256 })
    if (artifact) return artifact
    throw fail(`${url} is not to be had from another machine`, 'Leave it out of the lock, and name a release instead.')
  }
  const parsed = parseCondaUrl(url)
  if (!parsed) throw fail(`${url} is no URL of a conda package`)
  return condaArtifact(url, parsed, { sha256, md5: hash.md5 ?? undefined })
}
