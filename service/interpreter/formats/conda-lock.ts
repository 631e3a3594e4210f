import { parse } from 'yaml'
import * as z from 'zod/mini'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { condaArtifact, condaLock, condaTarget, parseCondaUrl, pythonOf } from '../conda.ts'
import type { CondaTarget } from '../conda-target.ts'
import type { Artifact } from '../lock.ts'
import type { InterpreterSpec } from '../spec.ts'
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
  hash: z.object({
    md5: z.nullish(z.string().check(z.regex(/^[0-9a-f]{32}$/))),
    sha256: z.nullish(z.string().check(z.regex(/^[0-9a-f]{64}$/))),
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
    const artifacts = packages.map((each) => (each.manager === 'pip' ? pipArtifact(each) : artifactOf(spec.path, each)))
    pythonOf({ source: spec.path, artifacts })
    return condaLock(spec.path, artifacts, { subdir: target.subdir, variables: {}, pip: [] })
  },

  locate(spec, name) {
    const text = spec.files[spec.path] ?? ''
    const found = [...text.matchAll(/^\s*-?\s*name:\s*['"]?([^'"\s]+)/gm)].find(([, each = '']) => each === name)
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
  return here.filter(({ category }) => categories.has(category))
}

function artifactOf(path: string, { url, hash }: Package): Artifact {
  const parsed = parseCondaUrl(url)
  if (!parsed) throw new EnvironmentFileError(path, undefined, `${url} is no URL of a conda package`, HINT)
  return condaArtifact(url, parsed, { sha256: hash.sha256 ?? undefined, md5: hash.md5 ?? undefined })
}

function pipArtifact({ name, version, url, hash }: Package): Artifact {
  const filename = decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '')
  const kind = filename.endsWith('.whl') ? 'wheel' : 'sdist'
  const [address = ''] = url.split('#', 1)
  return {
    ...{ name: normalizeName(name), version, kind, url: address, filename },
    ...(hash.sha256 != null && { sha256: hash.sha256 }),
  }
}
