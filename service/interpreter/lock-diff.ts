import type { PackageChange } from '../../common/events.ts'
import type { Artifact, Lock, Requirement } from './lock.ts'

/** More changes than this are counted, not named, in the sentence. */
const NAMED = 4
/** Packages that came with others are told of together, by who asks for them; so many groups are. */
const NAMED_GROUPS = 2

/** What a lock changed, for people. */
export interface LockDiff {
  /** In the order of names. */
  packages: PackageChange[]
  /** One sentence without a full stop: `numpy 2.1.0 -> 2.1.1, added rich 14.0, because requirements.txt changed`. */
  sentence: string
}

/** What a lock is compared with. */
export interface Before {
  lock: Lock
  /** Whether it was made with the same options, for the same base. */
  alike: boolean
}

/** The packages of a lock that ask for one (all normalised names). */
export type Askers = (name: string) => readonly string[]

const NOBODY: Askers = () => []

/**
 * Compares two locks. Says only what the locks know, and what is known of who asks for what in the new one.
 * @param askers of packages that the user's files do not ask for themselves
 */
export function lockDiff(compared: Before | undefined, after: Lock, askers = NOBODY): LockDiff {
  const before = compared?.lock
  const old = byName(before?.artifacts ?? [])
  const now = byName(after.artifacts)
  const reason = reasonOf(compared, after)
  const changes = [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name): Change[] => {
    const was = old.get(name)
    const is = now.get(name)
    if (was?.version === is?.version && was?.sha256 === is?.sha256) return []
    const own = wishOf(name, before, after)
    const asking = own === undefined && is ? askers(name).filter((each) => each !== name && now.has(each)) : []
    const why =
      own ?? (asking.length > 0 ? `because ${listed(asking)} ${asking.length > 1 ? 'ask' : 'asks'} for it` : '')
    const gone = is === undefined && before?.source === after.source ? 'because nothing asks for it any more' : ''
    const change: Change = { name, why: why || gone || `because ${reason}`, asking }
    if (was) change.before = was.version
    if (is) change.after = is.version
    return [change]
  })
  const packages = changes.map(({ asking: _, ...change }) => change)
  return { packages, sentence: sentenceOf(compared, changes, reason) }
}

/** @param asking the packages that it came with; empty where it is its own affair, or nobody knows */
type Change = PackageChange & { asking: readonly string[] }

function byName(artifacts: Artifact[]): Map<string, Artifact> {
  return new Map(artifacts.map((artifact) => [artifact.name, artifact]))
}

/** Why there is another lock at all. */
function reasonOf(compared: Before | undefined, after: Lock): string {
  if (compared === undefined) return 'this environment is new'
  const { lock: before, alike } = compared
  if (before.source !== after.source) return `${after.source} took the place of ${before.source}`
  const changed = changedFiles(before.requirements, after.requirements)
  if (changed.length > 0) return `${changed.join(' and ')} changed`
  if (!alike) return `${after.source}, or what is asked of it, changed`
  // What is asked for in another file is not what this one, a lock, has decided.
  if (after.requirements.every(({ file }) => file !== after.source)) return `${after.source} changed`
  return `it was resolved again, and ${after.source} leaves versions open`
}

function changedFiles(before: Requirement[], after: Requirement[]): string[] {
  const contents = (rows: Requirement[]) => {
    const files = new Map<string, string>()
    for (const { file, text } of rows) files.set(file, `${files.get(file) ?? ''}${text}\n`)
    return files
  }
  const old = contents(before)
  const now = contents(after)
  return [...new Set([...old.keys(), ...now.keys()])].filter((file) => old.get(file) !== now.get(file)).sort()
}

/** Why it is a wish of the user's files themselves, where it is. */
function wishOf(name: string, before: Lock | undefined, after: Lock): string | undefined {
  const lines = (lock: Lock | undefined) => lock?.requirements.filter((row) => row.name === name) ?? []
  const texts = (rows: Requirement[]) => rows.map(({ text }) => text).join('\n')
  const now = lines(after)
  const [line] = now
  if (line && texts(now) !== texts(lines(before))) {
    return `because ${line.file}:${line.line} ${line.constraint ? 'limits it to' : 'asks for'} ${line.text}`
  }
  const [gone] = lines(before)
  return gone && !line ? `because ${gone.file} no longer asks for ${gone.text}` : undefined
}

function sentenceOf(compared: Before | undefined, changes: Change[], reason: string): string {
  if (compared === undefined) return `${count(changes.length)}, because ${reason}`
  if (changes.length === 0)
    return `no package changed${compared.alike ? '' : ', but the base image or its software did'}`
  const came = Map.groupBy(
    changes.filter(({ asking }) => asking.length > 0),
    ({ asking }) => `${listed(asking)} ${asking.length > 1 ? 'ask' : 'asks'} for `,
  )
  const own = changes.filter(({ asking }) => asking.length === 0)
  const parts = own.length > 0 ? [`${named(own)}, because ${reason}`] : []
  for (const [asked, group] of [...came].slice(0, NAMED_GROUPS)) {
    parts.push(`${named(group)}, because ${asked}${group.length > 1 ? 'them' : 'it'}`)
  }
  const left = [...came].slice(NAMED_GROUPS).reduce((sum, [, group]) => sum + group.length, 0)
  if (left > 0) parts.push(`${left} more that others ask for`)
  return own.length > 0 ? parts.join('; ') : `${parts.join('; ')}; ${reason}`
}

function named(changes: Change[]): string {
  const rest = changes.length - NAMED
  return [...changes.slice(0, NAMED).map(describe), ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
}

function listed(names: readonly string[]): string {
  const [first = '', second = ''] = names
  if (names.length <= 2) return names.join(' and ')
  return `${first}, ${second} and ${names.length - 2} more`
}

function describe({ name, before, after }: PackageChange): string {
  if (before === undefined) return `added ${name} ${after}`
  if (after === undefined) return `removed ${name} ${before}`
  return before === after ? `${name} ${after} from another file` : `${name} ${before} -> ${after}`
}

function count(packages: number): string {
  return packages === 1 ? '1 package' : `${packages} packages`
}
