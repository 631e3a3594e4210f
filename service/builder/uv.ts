import type { Probe } from '../interpreter/probe.ts'
import { STEP_FOLDER } from './step-spec.ts'

/** Versions of glibc that uv knows as platforms (`uv pip compile --help`). */
const GLIBC_MINORS = [40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17]
export const UV_CONFIG = `${STEP_FOLDER}/uv.toml`

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

/** uv's arguments to make a pylock.toml of a requirements file; it writes the lock to stdout too. */
export function uvCompileArguments(
  probe: Probe,
  { path, prereleases, builds }: { path: string; prereleases: boolean; builds: boolean },
): string[] {
  return [
    ...['pip', 'compile', path, '--format', 'pylock.toml', '--output-file', 'pylock.toml', '--no-header'],
    ...['--python-version', probe.version, '--python-platform', uvPlatform(probe)],
    ...['--no-python-downloads', '--no-progress', '--color', 'never', '--config-file', UV_CONFIG],
    ...(builds ? [] : ['--no-build']),
    ...(prereleases ? ['--prerelease', 'allow'] : []),
  ]
}

/**
 * uv's settings. Many indexes say nothing of how long an answer holds; a resolver that is kept ready then takes it for
 * ten minutes, which is what the public index says of its own, and asks anew before it refuses anything.
 */
export function uvConfig(indexUrl: string | undefined): string {
  if (indexUrl === undefined) return ''
  return [
    '[[index]]',
    `url = ${JSON.stringify(indexUrl)}`,
    'default = true',
    'cache-control = { api = "max-age=600", files = "max-age=365000000, immutable" }',
    '',
  ].join('\n')
}
