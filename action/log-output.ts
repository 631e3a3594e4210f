import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Writable } from 'node:stream'

const NEWLINE = 10

/**
 * The step's log. Whatever is not our own word goes out between stop-commands with a random token, so that a line of it
 * that looks like a workflow command is only a line:
 * https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#stopping-and-starting-workflow-commands
 */
export class LogOutput {
  readonly #out: Writable
  readonly #token = randomBytes(24).toString('hex')
  #stopped = false
  #atLineStart = true
  /** Lines of our own that wait for the end of a line of output. */
  #asides: string[] = []
  #last: Promise<void> = Promise.resolve()

  constructor(out: Writable) {
    this.#out = out
  }

  /** Output of a run or build, as it is: text without an end of line and bytes that are no text too. */
  raw(bytes: string | Uint8Array): Promise<void> {
    return this.#inTurn(() => this.#show(bytes))
  }

  /** A line of our own, which may quote what others wrote. */
  line(text: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#startLine()
      await this.#show(`${text}\n`)
    })
  }

  /** A line of our own that can wait: it never falls into the middle of a line of output. */
  aside(text: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#asides.push(text)
      if (this.#atLineStart) await this.#sayAsides()
    })
  }

  /** Lets commands through again, for what `say` prints by the toolkit, which escapes what it is given. */
  command(say: () => void): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#stopped) {
        await this.#startLine()
        await this.#write(`::${this.#token}::\n`)
        this.#stopped = false
      }
      say()
    })
  }

  /** One after the other: a line that nobody waits for must not fall between a command and what lets it through. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #show(bytes: string | Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    if (!this.#stopped) {
      this.#stopped = true
      await this.#write(`::stop-commands::${this.#token}\n`)
    }
    await this.#write(bytes)
    this.#atLineStart = typeof bytes === 'string' ? bytes.endsWith('\n') : bytes.at(-1) === NEWLINE
    if (this.#atLineStart) await this.#sayAsides()
  }

  async #sayAsides(): Promise<void> {
    const asides = this.#asides
    this.#asides = []
    for (const text of asides) await this.#show(`${text}\n`)
  }

  async #startLine(): Promise<void> {
    if (this.#atLineStart) return
    await this.#write('\n')
    this.#atLineStart = true
    await this.#sayAsides()
  }

  async #write(bytes: string | Uint8Array): Promise<void> {
    if (!this.#out.write(bytes)) await once(this.#out, 'drain')
  }
}
