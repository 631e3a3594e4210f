import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { normalizeName } from '../../common/package-name.ts'
import { MirrorRefused } from './mirror-refused.ts'

/** A package that conda installed, as it notes it in `conda-meta`. */
const CondaPackage = z.object({
  name: z.string(),
  version: z.string(),
  build: z.string(),
  url: z.string(),
  subdir: z.optional(z.string()),
  sha256: z.optional(z.string()),
  md5: z.optional(z.string()),
})
type CondaPackage = z.infer<typeof CondaPackage>

/** A conda environment as a file that says it exactly. */
export interface CondaEnvironment {
  /** `linux-64`, `osx-arm64` and so on. */
  platform: string
  /** What is only there for that platform: `numpy 2.1.0`. */
  foreign: string[]
  /**
   * As `conda list --explicit` gives it, with lines of what pip installed behind. An export would not do: which package
   * came from which channel is lost in it.
   */
  explicit: (pip: readonly string[]) => string
  /** Whether conda installed it. */
  holds: (name: string, version: string) => boolean
}

/**
 * Reads a conda environment, without conda. Credentials in the addresses of channels are left out.
 * @throws {MirrorRefused} where its notes can't be read
 */
export async function condaEnvironment(prefix: string): Promise<CondaEnvironment> {
  const folder = join(prefix, 'conda-meta')
  const packages: CondaPackage[] = []
  for (const name of (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()) {
    const parsed = CondaPackage.safeParse(JSON.parse(await readFile(join(folder, name), 'utf8')))
    if (!parsed.success) {
      const hint = 'Give an environment file with the input "interpreter".'
      throw new MirrorRefused(`interpreter: ${join(folder, name)} is not what conda writes`, hint)
    }
    packages.push({ ...parsed.data, url: anonymousUrl(parsed.data.url) })
  }
  const platform = packages.map(subdirOf).find((subdir) => subdir !== 'noarch') ?? 'noarch'
  const own = new Set(packages.map(({ name, version }) => `${normalizeName(name)} ${version}`))
  const foreign = packages.filter((each) => subdirOf(each) !== 'noarch')
  return {
    platform,
    foreign: foreign.map(({ name, version }) => `${name} ${version}`),
    explicit: (pip) => explicitOf(platform, packages, pip),
    holds: (name, version) => own.has(`${name} ${version}`),
  }
}

function subdirOf({ url, subdir }: CondaPackage): string {
  return subdir ?? url.split('/').at(-2) ?? 'noarch'
}

function explicitOf(platform: string, packages: readonly CondaPackage[], pip: readonly string[]): string {
  const lines = packages.map(({ url, sha256, md5 }) => `${url}${sha256 || md5 ? `#${sha256 ?? md5}` : ''}`)
  return [`# platform: ${platform}`, '@EXPLICIT', ...lines, ...pip.map((line) => `# pip ${line}`), ''].join('\n')
}

/** An address without user and password, and without a token in its path as anaconda.org and others have it. */
export function anonymousUrl(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1')
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/]+)\/t\/[^/]+/i, '$1')
}
