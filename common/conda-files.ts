import { posix } from 'node:path'
import { environmentText } from './environment-text.ts'
import { requirementsClosure } from './requirements-closure.ts'

/** What conda calls the platforms that a service may be on. */
export type CondaPlatform = 'linux-64' | 'linux-aarch64'
export const CONDA_PLATFORMS: readonly CondaPlatform[] = ['linux-64', 'linux-aarch64']

/** Names that say which system their file was made on. */
const OF_LINUX = /-linux(?:-\w+)?$/
const OF_OTHERS = /-(?:osx|macos|darwin|win|windows)(?:-\w+)?$/
/** `- -r FILE` in a `pip:` section, or the same in a list on one line. */
const INCLUDE = /(?:^|[\s,["'])(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+)([^\s,\]"'#]+)/g

/** What a file that is named for one of the platforms is called for another: `conda-linux-aarch64.lock`. Others as they are. */
export function onPlatform(path: string, platform: CondaPlatform): string {
  return path.replace(/-linux-(?:64|aarch64)(?=\.\w+$)/, `-${platform}`)
}

/**
 * What the name for Linux of an environment.yml begins with: `environment` of `environment-windows.yml` too. Undefined
 * where it is itself one for Linux.
 */
export function stemForLinux(path: string): string | undefined {
  const { name } = posix.parse(path)
  return OF_LINUX.test(name) ? undefined : name.replace(OF_OTHERS, '')
}

/**
 * The files that are taken in place of an environment.yml, where they lie beside it, as it may have been made elsewhere:
 * the best first, those in one list alike.
 */
export function forLinux(path: string, platform: CondaPlatform): string[][] {
  const { dir, ext } = posix.parse(path)
  const own = onPlatform(path, platform)
  if (own !== path) return [[own]]
  const stem = stemForLinux(path)
  if (stem === undefined) return []
  const ends = [...new Set([ext, '.yml', '.yaml'])]
  return [platform, 'linux'].map((system) => ends.map((end) => posix.join(dir, `${stem}-${system}${end}`)))
}

/**
 * The files that an environment.yml may be made of, for sending them along: it, those for Linux beside it, and what
 * their `pip:` sections include. That is found without reading YAML, so it may be more than they say.
 * @param read gives a file of the code tree, or undefined where there is none
 * @returns paths of files that are there
 * @throws {EnvironmentFileError} as `requirementsClosure`
 */
export async function condaClosure(
  read: (path: string) => Promise<Uint8Array | undefined>,
  path: string,
): Promise<string[]> {
  const found = new Set<string>()
  // Which platform the service is on is not known where they are sent.
  const beside = CONDA_PLATFORMS.flatMap((platform) => forLinux(path, platform).flat())
  for (const each of new Set([path, ...beside])) {
    const bytes = await read(each)
    if (bytes === undefined) continue
    found.add(each)
    for (const included of includes(each, environmentText(each, bytes))) {
      if ((await read(included)) === undefined) continue
      for (const file of Object.keys(await requirementsClosure(read, included))) found.add(file)
    }
  }
  return [...found]
}

function includes(path: string, text: string): string[] {
  const said = text.split('\n').filter((line) => !/^\s*#/.test(line))
  const targets = said.flatMap((line) => [...line.matchAll(INCLUDE)].map(([, target = '']) => target))
  return targets.map((target) => posix.join(posix.dirname(path), target)).filter((file) => !/^(?:\/|\.\.\/)/.test(file))
}
