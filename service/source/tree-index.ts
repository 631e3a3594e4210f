import { realPath } from '../../common/bundle-links.ts'
import type { TarEntry } from '../../common/tar.ts'

/** A file of a bundle, and where in the bundle its bytes are. */
export interface Place {
  entry: TarEntry
  start: number
}

/** So many paths that lead through linked folders are listed: links to folders with links could give any number. */
const MOST_THROUGH_LINKS = 200_000

/** What lies where in a bundle. Links are followed as in a checkout; that they stay inside was proven before. */
export class TreeIndex {
  readonly #files: ReadonlyMap<string, Place>
  readonly #folders: ReadonlySet<string>
  readonly #links: ReadonlyMap<string, string>
  #sorted: string[] | undefined
  #paths: string[] | undefined

  /** @param links target by path */
  constructor(files: Map<string, Place>, folders: Set<string>, links: Map<string, string>) {
    this.#files = files
    this.#folders = folders.add('')
    this.#links = links
  }

  /** The file that a path leads to. */
  file(path: string): Place | undefined {
    return this.#files.get(path) ?? this.#files.get(this.real(path) ?? '')
  }

  /** Where a path is once links are followed; undefined where it leads nowhere. */
  real(path: string): string | undefined {
    const real = realPath(path, this.#links)
    return real !== undefined && (this.#files.has(real) || this.#folders.has(real)) ? real : undefined
  }

  /** Of all files, and of links that lead to files; behind them those that lead through one linked folder. */
  paths(): readonly string[] {
    this.#paths ??= [...this.#files.keys(), ...this.#linkedFiles(), ...this.#throughLinks()]
    return this.#paths
  }

  /** Paths of the files, and of links to files, below a folder that is no link; without the folder, in a fixed order. */
  *below(folder: string): Generator<string> {
    this.#sorted ??= [...this.#files.keys(), ...this.#linkedFiles()].sort()
    const start = folder === '' ? '' : `${folder}/`
    for (let at = firstFrom(this.#sorted, start); this.#sorted[at]?.startsWith(start); at++) {
      yield (this.#sorted[at] as string).slice(start.length)
    }
  }

  #linkedFiles(): string[] {
    return [...this.#links.keys()].filter((path) => this.#files.has(this.real(path) ?? ''))
  }

  #throughLinks(): string[] {
    const paths: string[] = []
    for (const link of this.#links.keys()) {
      const folder = this.real(link)
      if (folder === undefined || !this.#folders.has(folder)) continue
      for (const path of this.below(folder)) {
        if (paths.length === MOST_THROUGH_LINKS) return paths
        paths.push(`${link}/${path}`)
      }
    }
    return paths
  }
}

/** The index of the first of some sorted texts that does not come before another. */
function firstFrom(sorted: readonly string[], text: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as string) < text) low = middle + 1
    else high = middle
  }
  return low
}
