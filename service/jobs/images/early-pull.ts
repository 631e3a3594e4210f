import type { PlannedArtifact } from '../../image/fragment.ts'
import { heaviestFirst, isHeavy } from '../../image/plan-fresh.ts'

/** Compressed bytes by which the image must have grown to be worth another pull. */
const STEP_BYTES = 40e6

/** Brings an image of the files of some artifacts. Gives its reference on the node. */
export type PullFirst = (artifacts: PlannedArtifact[]) => Promise<string>

/**
 * Brings the first layers of a large image to the node while its byte code is being made. A fresh layout begins with
 * the files of heavy artifacts, and engines know layers by what is below them: the image of the first ones leaves just
 * the layers that the whole one begins with. One pull at a time; none is needed for the result.
 */
export class EarlyPull {
  readonly #names: string[]
  readonly #pullFirst: PullFirst
  readonly #failed: (error: unknown) => void
  /** The images that were brought, to be removed once the whole one is there. */
  readonly references: string[] = []
  readonly #ready = new Map<string, PlannedArtifact>()
  #first: PlannedArtifact[] = []
  #bytes = 0
  #pulled = 0
  #isWorth = false
  #pulling: Promise<void> | undefined

  /**
   * @param all artifacts of the image
   * @param failed is told of a pull that went wrong; the whole image is pulled in any case
   */
  constructor(all: Pick<PlannedArtifact, 'name' | 'weight'>[], pullFirst: PullFirst, failed: (error: unknown) => void) {
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
    this.#ready.set(artifact.name, artifact)
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#first.push(next)
      this.#bytes += next.files.size
    }
    this.#pull()
  }

  /** Starts no more, and waits for the one under way. */
  async end(): Promise<void> {
    this.#pulled = Number.POSITIVE_INFINITY
    await this.#pulling
  }

  #next(): PlannedArtifact | undefined {
    const name = this.#names[this.#first.length]
    return name === undefined ? undefined : this.#ready.get(name)
  }

  #pull(): void {
    if (this.#pulling !== undefined || !this.#isWorth || this.#bytes - this.#pulled < STEP_BYTES) return
    this.#pulled = this.#bytes
    this.#pulling = this.#pullFirst([...this.#first])
      .then((reference) => void this.references.push(reference))
      .catch(this.#failed)
      .finally(() => {
        this.#pulling = undefined
        this.#pull()
      })
  }
}
