import type { PackageChange } from '../../common/contract.ts'
import type { Artifact, Lock, Requirement } from './lock.ts'

/** More changes than this are counted, not named, in the sentence. */
const NAMED = 4

/** What a lock changed, for people. */
export interface LockDiff {
  /** In the order of names. */
  packages: PackageChange[]
  /** One sentence without a full stop: `numpy 2.1.0 -> 2.1.1, added rich 14.0, because requirements.txt changed`. */
  sentence: string
}

/** Compares two locks. Says only what the locks themselves know. */
export function lockDiff(before: Lock | undefined, after: Lock): LockDiff {
  const old = byName(before?.artifacts ?? [])
  const now = byName(after.artifacts)
  const reason = reasonOf(before, after)
  const packages = [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const was = old.get(name)
    const is = now.get(name)
    if (was?.version === is?.version && was?.sha256 === is?.sha256) return []
    const change: PackageChange = { name, why: whyOf(name, before, after, reason) }
    if (was) change.before = was.version
    if (is) change.after = is.version
    return [change]
  })
  return { packages, sentence: sentenceOf(before, packages, reason) }
}

function byName(artifacts: Artifact[]): Map<string, Artifact> {
  return new Map(artifacts.map((artifact) => [artifact.name, artifact]))
}

/** Why there is another lock at all. */
function reasonOf(before: Lock | undefined, after: Lock): string {
  if (before === undefined) return 'this environment is new'
  if (before.source !== after.source) return `${after.source} took the place of ${before.source}`
  const changed = changedFiles(before.requirements, after.requirements)
  if (changed.length > 0) return `${changed.join(' and ')} changed`
  if (after.requirements.length === 0) return `${after.source} changed`
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

function whyOf(name: string, before: Lock | undefined, after: Lock, reason: string): string {
  const lines = (lock: Lock | undefined) => lock?.requirements.filter((row) => row.name === name) ?? []
  const texts = (rows: Requirement[]) => rows.map(({ text }) => text).join('\n')
  const now = lines(after)
  const [line] = now
  if (line && texts(now) !== texts(lines(before))) {
    return `because ${line.file}:${line.line} ${line.constraint ? 'limits it to' : 'asks for'} ${line.text}`
  }
  const [gone] = lines(before)
  if (gone && !line) return `because ${gone.file} no longer asks for ${gone.text}`
  return `because ${reason}`
}

function sentenceOf(before: Lock | undefined, packages: PackageChange[], reason: string): string {
  if (before === undefined) return `${count(packages.length)}, because ${reason}`
  if (packages.length === 0) return 'no package changed'
  const named = packages.slice(0, NAMED).map(describe)
  const rest = packages.length - named.length
  return `${[...named, ...(rest > 0 ? [`${rest} more`] : [])].join(', ')}, because ${reason}`
}

function describe({ name, before, after }: PackageChange): string {
  if (before === undefined) return `added ${name} ${after}`
  if (after === undefined) return `removed ${name} ${before}`
  return before === after ? `${name} ${after} from another file` : `${name} ${before} -> ${after}`
}

function count(packages: number): string {
  return packages === 1 ? '1 package' : `${packages} packages`
}
