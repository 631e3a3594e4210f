import { posix } from 'node:path'
import { stringify, type TomlTable } from 'smol-toml'
import { isTable } from '../interpreter/formats/read-toml.ts'
import type { Probe } from '../interpreter/probe.ts'
import type { IndexWish, ProjectWish, UvChoice } from '../interpreter/resolution.ts'
import { STEP_FOLDER } from './step-spec.ts'

/** Versions of glibc that uv knows as platforms (`uv pip compile --help`). */
const GLIBC_MINORS = [40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17]
/** uv's settings for what says nothing to uv itself. */
export const UV_CONFIG = `${STEP_FOLDER}/uv.toml`
/** Those that a project has, beside its files. */
export const PROJECT_CONFIG = '.meadow-uv.toml'

/** A platform that uv has no name for. */
export class UnknownPlatform extends Error {
  override name = 'UnknownPlatform'
  readonly hint = 'Name a base-image for x86_64 or aarch64 with glibc 2.17 or later, or with musl.'
}

/**
 * The platform as uv names it; the newest that is not newer than the probe's.
 * @throws {UnknownPlatform}
 */
export function uvPlatform({ machine, libc }: Pick<Probe, 'machine' | 'libc'>): string {
  if (machine === 'x86_64' || machine === 'aarch64') {
    if (libc.name === 'musl') return `${machine}-unknown-linux-musl`
    const [major, minor] = libc.version.split('.').map(Number) as [number, number]
    const known = major === 2 ? GLIBC_MINORS.find((each) => each <= minor) : undefined
    if (known !== undefined) return `${machine}-manylinux_2_${known}`
  }
  throw new UnknownPlatform(`no lock can be made for ${machine} with ${libc.name} ${libc.version}`)
}

/** What is the same whatever uv is asked for; it writes the lock to stdout too. */
const COMMON = [
  ...['--format', 'pylock.toml', '--output-file', 'pylock.toml', '--no-header'],
  ...['--no-python-downloads', '--no-progress', '--color', 'never'],
]

/** Where uv keeps what it has learned of indexes, where no code of packages may run. */
export const UV_CACHE = `${STEP_FOLDER}/uv-cache`
/** Has a file where uv would have the folder that it builds in: it reads what sources say of themselves, and builds none. */
export const NO_BUILDS = { [`${UV_CACHE}/builds-v0`]: '' }
/** How it says that it would have to. */
export const NEEDS_BUILD =
  /failed to create directory `[^`]*\/builds-v0`|building from source is disabled|Building source distributions(?: .*)? is disabled/

/** What uv is to make a lock of. */
export interface CompileWish {
  /** A requirements file or a pyproject.toml. */
  path: string
  prereleases: boolean
  /** Whether a release may be chosen that is only a source distribution, and may need a build to say what it needs. */
  sources: boolean
  project?: ProjectWish
  /** Whether there are any in `OVERRIDES`. */
  overrides?: boolean
  indexes?: IndexWish
}

/** What of git repositories other projects ask for, as requirements: they say where it is found. */
export const OVERRIDES = '.meadow-overrides.txt'

/** uv's arguments to make a pylock.toml of a requirements file or a pyproject.toml. */
export function uvCompileArguments(probe: Probe, wish: CompileWish): string[] {
  const { path, prereleases, sources, project, indexes } = wish
  return [
    ...['pip', 'compile', ...(project?.dependencies === false ? [] : [path]), ...COMMON],
    ...['--config-file', project ? PROJECT_CONFIG : UV_CONFIG],
    ...['--python-version', probe.version, '--python-platform', uvPlatform(probe)],
    ...(project?.extras ?? []).flatMap((extra) => ['--extra', extra]),
    ...(project?.groups ?? []).flatMap((group) => ['--group', `${path}:${group}`]),
    ...(sources ? [] : ['--no-build']),
    ...(prereleases ? ['--prerelease', 'allow'] : []),
    // What a project says to uv alone is not for a requirements file, which pip reads too.
    ...(project ? [] : ['--no-sources']),
    ...(wish.overrides ? ['--overrides', OVERRIDES] : []),
    ...(indexes ? indexArguments(indexes) : []),
  ]
}

/** A package comes from the first index that has its name, the extra ones before the others, and from no other. */
export function indexArguments({ index, extra, findLinks, none }: IndexWish): string[] {
  return [
    ...(index === undefined ? [] : ['--index-url', index]),
    ...extra.flatMap((url) => ['--extra-index-url', url]),
    ...findLinks.flatMap((folder) => ['--find-links', `./${folder}`]),
    ...(none ? ['--no-index'] : []),
    ...['--index-strategy', 'first-index'],
  ]
}

/** uv's arguments to look up all files of the one release that `one.txt` names, whatever they are for. */
export function uvUniversalArguments(probe: Probe, config = UV_CONFIG): string[] {
  return [...lookUpArguments('one.txt', probe, config), '--no-build']
}

/** uv's arguments to look up the releases that `pins.txt` names, sources among them, whatever they are for. */
export function uvPinnedArguments(probe: Probe): string[] {
  return lookUpArguments('pins.txt', probe, UV_CONFIG)
}

function lookUpArguments(file: string, { version }: Probe, config: string): string[] {
  const alone = ['--universal', '--no-deps', '--prerelease', 'allow', '--config-file', config]
  return ['pip', 'compile', file, ...COMMON, '--python-version', version, ...alone]
}

/** uv's arguments to make a pylock.toml of a uv.lock: of its whole workspace, or of one project. */
export function uvExportArguments(lock: string, choice: UvChoice): string[] {
  const { project, defaultGroups, groupsAlone, extras, groups, withoutGroups } = choice
  return [
    ...['export', '--frozen', '--project', posix.dirname(lock), ...COMMON, '--config-file', UV_CONFIG],
    ...(project === undefined ? ['--all-packages'] : ['--package', project]),
    ...(defaultGroups ? [] : ['--no-default-groups']),
    ...extras.flatMap((extra) => ['--extra', extra]),
    ...groups.flatMap((group) => [groupsAlone ? '--only-group' : '--group', group]),
    ...withoutGroups.flatMap((group) => ['--no-group', group]),
  ]
}

/**
 * uv's settings. Many indexes say nothing of how long an answer holds; a resolver that is kept ready then takes it for
 * ten minutes, which is what the public index says of its own, and asks anew before it refuses anything.
 */
export function uvConfig(indexUrl: string | undefined): string {
  return indexUrl === undefined ? '' : stringify({ index: [configuredIndex(indexUrl)] })
}

/** The same for a project that says something to uv. An index that it names as the default one takes the place of ours. */
export function uvProjectConfig(settings: TomlTable, indexUrl: string | undefined): string {
  const own = Array.isArray(settings.index) ? settings.index : []
  const isDefault = own.some((one) => isTable(one) && one.default === true)
  const index = [...own, ...(isDefault || indexUrl === undefined ? [] : [configuredIndex(indexUrl)])]
  const { index: _, ...rest } = settings
  return stringify({ ...rest, ...(index.length > 0 && { index }) })
}

function configuredIndex(url: string): TomlTable {
  const cache = { api: 'max-age=600', files: 'max-age=365000000, immutable' }
  return { url, default: true, 'cache-control': cache }
}
