import type { PlannedArtifact } from '../../image/fragment.ts'
import { heaviestFirst, isEverywhere, isHeavy, SMALL } from '../../image/plan-fresh.ts'

/** Compressed bytes that make a first pull worth it. */
const FIRST_BYTES = 40e6
/**
 * Compressed bytes by which the image must have grown to be worth another one. Few: an engine spends much of a pull
 * waiting for its disk, which costs nothing while byte code is being made, and all of its time at the end.
 */
const STEP_BYTES = 8e6
/** While an engine unpacks the layers of one pull, those that another adds are on their way. */
const AT_ONCE = 2

/** Brings an image of some artifacts. Gives its reference on the node. */
export type PullFirst = (artifacts: PlannedArtifact[]) => Promise<string>

/**
 * Brings the first layers of a large image to the node while its last artifacts are being made. A fresh layout begins
 * with what is everywhere and the files of heavy artifacts, and goes on with their byte code; engines know layers by
 * what is below them: the image of the first ones leaves just the layers that the whole one begins with. None of these
 * pulls is needed for the result.
 */
export class EarlyPull {
  readonly #everywhere: string[]
  /** Of heavy ones. */
  readonly #names: string[]
  readonly #pullFirst: PullFirst
  readonly #failed: (error: unknown) => void
  /** The images that were brought, to be removed once the whole one is there. */
  readonly references: string[] = []
  readonly #files = new Map<string, PlannedArtifact>()
  readonly #whole = new Map<string, PlannedArtifact>()
  #pulled = 0
  #isWorth = false
  readonly #pulling = new Set<Promise<void>>()

  /**
   * @param all artifacts of the image
   * @param failed is told of a pull that went wrong; the whole image is pulled in any case
   */
  constructor(all: Pick<PlannedArtifact, 'name' | 'weight'>[], pullFirst: PullFirst, failed: (error: unknown) => void) {
    this.#everywhere = all.filter(isEverywhere).map(({ name }) => name)
    this.#names = all
      .filter(isHeavy)
      .toSorted(heaviestFirst)
      .map(({ name }) => name)
    this.#pullFirst = pullFirst
    this.#failed = failed
  }

  /**
   * An artifact has its files.
   * @param fresh whether they had to be made: where all are known, nothing takes so long that a pull could come before
   */
  add(artifact: PlannedArtifact, fresh: boolean): void {
    this.#isWorth ||= fresh
    this.#files.set(artifact.name, artifact)
    this.#pull()
  }

  /** An artifact has its byte code too, if it is to have any. */
  addWhole(artifact: PlannedArtifact): void {
    this.#whole.set(artifact.name, artifact)
    this.#pull()
  }

  /** Starts no more, and waits for those under way. */
  async end(): Promise<void> {
    this.#pulled = Number.POSITIVE_INFINITY
    await Promise.all(this.#pulling)
  }

  /** What is there of the beginning of the layout without a gap. */
  #first(): PlannedArtifact[] {
    const lowest = leading(this.#everywhere, this.#whole)
    if (lowest.length < this.#everywhere.length) return []
    const files = leading(this.#names, this.#files)
    if (files.length < this.#names.length) return [...lowest, ...files]
    const whole = leading(this.#names, this.#whole).map((artifact, index) => {
      const isLayer = (artifact.bytecode?.size ?? 0) >= SMALL
      return isLayer ? artifact : (files[index] as PlannedArtifact)
    })
    return [...lowest, ...whole, ...files.slice(whole.length)]
  }

  #pull(): void {
    if (this.#pulling.size >= AT_ONCE || !this.#isWorth) return
    const first = this.#first()
    const bytes = first.reduce((sum, { files, bytecode }) => sum + files.size + (bytecode?.size ?? 0), 0)
    const isLast = this.#names.every((name) => this.#whole.has(name))
    const worth = this.#pulled === 0 ? FIRST_BYTES : isLast ? 1 : STEP_BYTES
    if (bytes - this.#pulled < worth) return
    this.#pulled = bytes
    const pulling = this.#pullFirst(first)
      .then((reference) => void this.references.push(reference))
      .catch(this.#failed)
      .finally(() => {
        this.#pulling.delete(pulling)
        this.#pull()
      })
    this.#pulling.add(pulling)
  }
}

/** The values of the first names, up to one that has none. */
function leading(names: string[], values: Map<string, PlannedArtifact>): PlannedArtifact[] {
  const found: PlannedArtifact[] = []
  for (const name of names) {
    const value = values.get(name)
    if (value === undefined) break
    found.push(value)
  }
  return found
}
