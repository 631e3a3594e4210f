import type { PlannedArtifact } from '../image/fragment.ts'

/** Compressed bytes by which the image must have grown to be worth another pull. */
const STEP_BYTES = 40e6

/** Brings an image of the first artifacts, in the order of their names. Gives its reference on the node. */
export type PullFirst = (artifacts: PlannedArtifact[]) => Promise<string>

/**
 * Brings the first layers of a large image to the node while the others are being made. A fresh layout has one layer an
 * artifact in the order of their names, and engines know layers by what is below them: the image of the first
 * artifacts leaves just the layers that the whole one begins with. One pull at a time; none is needed for the result.
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
  #pulling: Promise<void> | undefined

  /**
   * @param names of all artifacts
   * @param failed is told of a pull that went wrong; the whole image is pulled in any case
   */
  constructor(names: string[], pullFirst: PullFirst, failed: (error: unknown) => void) {
    this.#names = names.toSorted()
    this.#pullFirst = pullFirst
    this.#failed = failed
  }

  /** An artifact has all of its fragments. */
  add(artifact: PlannedArtifact): void {
    this.#ready.set(artifact.name, artifact)
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#first.push(next)
      this.#bytes += next.files.size + (next.bytecode?.size ?? 0)
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
    if (this.#pulling !== undefined || this.#bytes - this.#pulled < STEP_BYTES) return
    // Once all are there the whole image is pulled, by whoever waits for it.
    if (this.#first.length === this.#names.length) return
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
