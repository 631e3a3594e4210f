import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { checkPython, condaArtifact, condaLock, condaTarget, hasCredentials, parseCondaUrl } from '../conda.ts'
import type { CondaTarget } from '../conda-target.ts'
import type { Artifact } from '../lock.ts'
import type { InterpreterSpec } from '../spec.ts'
import { type CondaLockFile, type LockedPackage, RENEWAL, readCondaLock } from './conda-lock-file.ts'
import { pipArtifact } from './conda-lock-pip.ts'
import { checkSources, loadSources, sourceNotes } from './conda-lock-sources.ts'
import { wrongPlatform } from './conda-platform.ts'
import type { Format } from './format.ts'
import { requiredText } from './required-text.ts'

/** What conda-lock installs where nothing is said. */
const DEFAULT_CATEGORIES = ['main', 'dev']

/** conda-lock.yml, version 1: for each platform the packages of conda and pip, with hashes; taken as it is. */
export const condaLockFormat: Format = {
  name: 'conda-lock',
  options: ['groups', 'without-groups'],
  yankedUnsaid: true,

  async load(code, path) {
    const text = await requiredText(code, path)
    const { sources } = readCondaLock(path, text)
    return { [path]: text, ...(await loadSources(code, path, sources)) }
  },

  async lock(spec, probe) {
    const target = condaTarget(spec.path, probe)
    const packages = chosen(spec, target)
    const artifacts = packages.map((each) => artifactOf(spec.path, each))
    checkPython(spec, artifacts)
    return condaLock(spec.path, artifacts, { subdir: target.subdir, variables: {}, pip: [] })
  },

  notes(spec) {
    const { packages, sources } = lockOf(spec)
    return sourceNotes(spec, packages, sources)
  },

  locate(spec, name) {
    const text = spec.files[spec.path] ?? ''
    const names = [...text.matchAll(/^\s*-?\s*\{?\s*name:\s*['"]?([^'"\s,]+)/gm)]
    const found = names.find(([, each = '']) => each === name || normalizeName(each) === name)
    return found && { file: spec.path, line: text.slice(0, found.index).split('\n').length }
  },
}

function lockOf({ path, files }: InterpreterSpec): CondaLockFile {
  return readCondaLock(path, files[path] ?? '')
}

/** Those of the target, in the categories that are asked for. Before any download. */
function chosen(spec: InterpreterSpec, target: CondaTarget): LockedPackage[] {
  const { packages: all } = lockOf(spec)
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
  checkSources(spec, here)
  const wantedHere = here.filter(({ category }) => categories.has(category))
  // One that is of several categories is listed in each.
  return [...new Map(wantedHere.map((each) => [`${each.manager} ${each.name}`, each])).values()]
}

function artifactOf(file: string, { manager, name, version, url, hash, line }: LockedPackage): Artifact {
  const fail = (why: string, hint = RENEWAL) => new EnvironmentFileError(file, line, `${name}: ${why}`, hint)
  if (hasCredentials(url)) {
    throw fail('its address holds a user name, password or token', 'Take it out; credentials come in a later version.')
  }
  const known = { sha256: hash.sha256 ?? undefined, md5: hash.md5 ?? undefined }
  const isCommit = known.sha256?.length === 40
  if (isCommit && !url.startsWith('git+')) throw fail('hash.sha256: it must be 64 hex digits')
  if (manager === 'pip') {
    const artifact = pipArtifact({ file, line }, { name, version, url, ...known })
    if (artifact) return artifact
    throw fail(`${url} is not to be had from another machine`, 'Leave it out of the lock, and name a release instead.')
  }
  const parsed = parseCondaUrl(url)
  if (!parsed) throw fail(`${url} is no URL of a conda package`)
  return condaArtifact(url, parsed, known)
}
