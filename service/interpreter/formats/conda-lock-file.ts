import { isNode, isSeq } from 'yaml'
import * as z from 'zod/mini'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { readYaml, type YamlFile } from './read-yaml.ts'

export const RENEWAL = 'Make it anew: conda-lock lock --file environment.yml --platform linux-64'

/** How a field that is not as it must be is complained of. */
const must = (what: string) => ({ error: ({ input }: { input?: unknown }) => saying(input, what) })
const saying = (input: unknown, what: string) => (input === undefined ? 'it is missing' : `it must be ${what}`)
const text = () => z.string(must('text (in quotes, where it looks like a number)'))
const hex = (pattern: RegExp, what: string) => z.nullish(text().check(z.regex(pattern, must(what))))

/** Of a package, what is used. https://github.com/conda/conda-lock/blob/main/conda_lock/lockfile/v1/models.py */
const Package = z.object(
  {
    name: text(),
    version: text(),
    manager: z.enum(['conda', 'pip'], must('conda or pip')),
    platform: text(),
    url: text(),
    hash: z.object(
      {
        md5: hex(/^[0-9a-f]{32}$/, '32 hex digits'),
        // Of a git dependency it is the commit.
        sha256: hex(/^(?:[0-9a-f]{64}|[0-9a-f]{40})$/, '64 hex digits'),
      },
      must('a mapping of md5 and sha256'),
    ),
    category: z._default(text(), 'main'),
    dependencies: z._default(z.record(z.string(), z.unknown(), must('a mapping of names and versions')), {}),
  },
  must('a mapping'),
)
export type LockedPackage = z.infer<typeof Package> & {
  /** Where it begins in the file, from 1. */
  line: number
}

const LockFile = z.object(
  {
    version: z.literal(1, must('1, as conda-lock writes it')),
    metadata: z.optional(
      z.object({ sources: z.optional(z.array(text(), must('a list of files'))) }, must('a mapping')),
    ),
    package: z.array(Package, must('a list of packages')),
  },
  must('a mapping with "version: 1" and "package:"'),
)

/** What a conda-lock.yml says. */
export interface CondaLockFile {
  packages: LockedPackage[]
  /** The files that it was made from, relative to its folder. */
  sources: string[]
}

/**
 * Reads a conda-lock.yml of version 1.
 * @throws {EnvironmentFileError} naming line and field
 */
export function readCondaLock(path: string, content: string): CondaLockFile {
  const yaml = readYaml(path, content, RENEWAL)
  if (yaml.document.contents === null) throw new EnvironmentFileError(path, undefined, 'it is empty', RENEWAL)
  const value = plainValue(path, yaml)
  const parsed = z.safeParse(LockFile, value)
  if (parsed.success) {
    const list = yaml.document.get('package', true)
    const lineOf = (index: number) => (isSeq(list) && yaml.lineOf(list.items[index])) || 1
    const packages = parsed.data.package.map((each, index) => ({ ...each, line: lineOf(index) }))
    return { packages, sources: parsed.data.metadata?.sources ?? [] }
  }
  const [issue] = parsed.error.issues
  const at = issue?.path ?? []
  const hint = at[0] === 'version' ? versionHint(value) : RENEWAL
  throw new EnvironmentFileError(path, lineAt(yaml, at), `${fieldOf(value, at)}${issue?.message}`, hint)
}

function plainValue(path: string, { document }: YamlFile): unknown {
  try {
    return document.toJS()
  } catch (error) {
    // Of aliases: to nothing, or to so much that it is meant to do harm.
    if (!(error instanceof ReferenceError)) throw error
    throw new EnvironmentFileError(path, undefined, `is no YAML: ${error.message}`, RENEWAL)
  }
}

/** `six: hash.sha256: `, `package 3: name: ` */
function fieldOf(value: unknown, path: PropertyKey[]): string {
  const [first, index, ...rest] = path
  if (first !== 'package' || typeof index !== 'number') return path.length === 0 ? '' : `${path.join('.')}: `
  const name = (value as { package: { name?: unknown }[] }).package[index]?.name
  const who = typeof name === 'string' && rest[0] !== 'name' ? name : `package ${index + 1}`
  return `${who}: ${rest.length === 0 ? '' : `${rest.join('.')}: `}`
}

/** Of what is missing, the line of what it should be in. */
function lineAt({ document, lineOf }: YamlFile, path: PropertyKey[]): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
    if (isNode(node)) return lineOf(node)
  }
  return undefined
}

function versionHint(value: unknown): string {
  // pixi.lock is at 4 and later.
  const isPixi = typeof value === 'object' && value !== null && 'environments' in value
  if (isPixi)
    return 'It is a lock of pixi: "pixi workspace export conda-explicit-spec ." makes lists that can be named.'
  return RENEWAL
}
