import { HintedError } from '../../common/hinted-error.ts'
import type { TarEntry } from '../../common/tar.ts'
import { parentOf } from './folders.ts'
import type { Fragment, FragmentEntry, PlannedArtifact } from './fragment.ts'
import { sourceOf } from './pycache.ts'
import { ENVIRONMENT } from './skeleton.ts'

/** Where a visible path's content comes from. */
export interface Place {
  /** Index of the artifact that owns it. */
  artifact: number
  fragment: Fragment
  entry: FragmentEntry
}

/** A path that several artifacts own, or that one needs as a file and another as a folder. */
export interface Clash {
  path: string
  /** Names of artifacts. */
  winner: string
  losers: string[]
  /** All of them bring the same content, so nothing is lost. */
  identical: boolean
}

/** What stands in the environment once all artifacts are installed. */
export interface EnvironmentTree {
  /** Visible files and links, by path. */
  files: Map<string, Place>
  /** Every folder, those of the skeleton included. */
  folders: Set<string>
  clashes: Clash[]
}

/** What an environment is to hold can't be laid out. */
export class PlanRefused extends HintedError {
  override name = 'PlanRefused'
}

/**
 * The tree that you get by installing artifacts one by one, each over what is there, and then the byte code of the
 * sources that are still visible. Python runs unchecked-hash byte code whatever its source says (PEP 552), so byte
 * code of a source that lost its path must not be seen.
 * @param artifacts in the order of installing: the later wins
 * @param skeleton what the environment holds before; no artifact may touch its files, nor put a file on its folders
 * @throws {PlanRefused} naming artifact and path
 */
export function environmentTree(artifacts: PlannedArtifact[], skeleton: TarEntry[]): EnvironmentTree {
  const tree = new Tree(artifacts, skeleton)
  const byteCode: { place: Place; source: string }[] = []
  for (const [artifact, { files, bytecode }] of artifacts.entries()) {
    for (const fragment of bytecode ? [files, bytecode] : [files]) {
      for (const entry of fragment.entries) {
        const place = { artifact, fragment, entry }
        tree.check(place)
        const source = sourceOf(entry.path)
        if (source === undefined) tree.put(place)
        else byteCode.push({ place, source })
      }
    }
  }
  for (const { place, source } of byteCode) tree.putByteCode(place, source)
  return { files: tree.files, folders: tree.folders, clashes: tree.clashes() }
}

/** Whether two entries leave the same thing on disk. */
export function sameContent(a: FragmentEntry | undefined, b: FragmentEntry | undefined): boolean {
  return a === b || (a?.sha256 === b?.sha256 && a?.mode === b?.mode && a?.link === b?.link)
}

const BELOW = `${ENVIRONMENT}/`

/** Invariant: `folders` are the skeleton's and the parents of `files`, nothing else. */
class Tree {
  readonly files = new Map<string, Place>()
  readonly folders = new Set<string>([''])
  readonly #artifacts: PlannedArtifact[]
  readonly #skeleton = new Map<string, TarEntry>()
  readonly #clashes = new Map<string, { owners: Set<number>; identical: boolean }>()
  readonly #sources = new Map<number, Map<string, FragmentEntry>>()

  constructor(artifacts: PlannedArtifact[], skeleton: TarEntry[]) {
    this.#artifacts = artifacts
    for (const entry of skeleton) {
      this.#skeleton.set(entry.path, entry)
      if (entry.type === 'directory') this.folders.add(entry.path)
    }
  }

  /** A last guard: whoever made the fragment has refused such paths already. */
  check(place: Place): void {
    const { path } = place.entry
    if (!path.startsWith(BELOW)) throw this.#refusal(place, `it is not below /${ENVIRONMENT}`)
    if (path.includes('/.wh.')) throw this.#refusal(place, 'such names delete files of layers below')
    if (this.#skeleton.has(path)) throw this.#refusal(place, 'that path belongs to the environment itself')
  }

  put(place: Place): void {
    const { path } = place.entry
    this.#openFolder(parentOf(path), place)
    if (this.folders.has(path)) this.#closeFolder(path, place)
    const loser = this.files.get(path)
    if (loser) this.#clash(path, loser, place, sameContent(loser.entry, place.entry))
    this.files.set(path, place)
  }

  /** Byte code comes after all else and takes nobody's place but that of other byte code of the same source. */
  putByteCode(place: Place, source: string): void {
    const { path } = place.entry
    const visible = this.files.get(source)
    if (visible?.artifact !== place.artifact) {
      if (!sameContent(visible?.entry, this.#sourcesOf(place.artifact).get(source))) return
    }
    if (this.folders.has(path)) return
    for (let folder = parentOf(path); !this.folders.has(folder); folder = parentOf(folder)) {
      if (this.files.has(folder)) return
    }
    this.#openFolder(parentOf(path), place)
    this.files.set(path, place)
  }

  clashes(): Clash[] {
    const nameOf = (index: number) => this.#artifacts[index]?.name ?? ''
    return [...this.#clashes].map(([path, { owners, identical }]) => {
      const names = [...owners].sort((a, b) => a - b).map(nameOf)
      return { path, winner: names.at(-1) ?? '', losers: names.slice(0, -1), identical }
    })
  }

  #openFolder(folder: string, by: Place): void {
    if (this.folders.has(folder)) return
    if (this.#skeleton.has(folder)) throw this.#refusal(by, `/${folder} belongs to the environment itself`)
    this.#openFolder(parentOf(folder), by)
    const loser = this.files.get(folder)
    if (loser) {
      this.#clash(folder, loser, by, false)
      this.files.delete(folder)
    }
    this.folders.add(folder)
  }

  /** A file takes the place of a folder with all that is below. Rare, so a scan will do. */
  #closeFolder(folder: string, by: Place): void {
    for (const [path, loser] of this.files) {
      if (!path.startsWith(`${folder}/`)) continue
      this.#clash(folder, loser, by, false)
      this.files.delete(path)
    }
    for (const path of this.folders) {
      if (path === folder || path.startsWith(`${folder}/`)) this.folders.delete(path)
    }
  }

  #clash(path: string, loser: Place, winner: Place, identical: boolean): void {
    if (loser.artifact === winner.artifact) return
    const known = this.#clashes.get(path) ?? { owners: new Set(), identical: true }
    known.owners.add(loser.artifact).add(winner.artifact)
    known.identical &&= identical
    this.#clashes.set(path, known)
  }

  #sourcesOf(artifact: number): Map<string, FragmentEntry> {
    const known = this.#sources.get(artifact)
    if (known) return known
    const entries = new Map(this.#artifacts[artifact]?.files.entries.map((entry) => [entry.path, entry]))
    this.#sources.set(artifact, entries)
    return entries
  }

  #refusal(place: Place, why: string): PlanRefused {
    const { name, version } = this.#artifacts[place.artifact] ?? { name: '', version: '' }
    return new PlanRefused(
      `${name} ${version} has a file /${place.entry.path}: ${why}`,
      'use another version of that package',
    )
  }
}
