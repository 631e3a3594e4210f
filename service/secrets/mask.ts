/** What stands in the place of a secret. */
const MASKED = Buffer.from('***')

/** Anything shorter is found everywhere by chance; nobody's secret is that short. */
const SHORTEST = 4

/** Every secret that this service knows. None of them may be stored in an event. */
export class SecretMask {
  /** How many times each was added; multi-line secrets are added line by line as well, as logs show them. */
  readonly #secrets = new Map<string, number>()
  #bytes: Buffer[] = []

  /** Masks a secret from now on. Returns the way to stop. */
  add(secret: string): () => void {
    const parts = [...new Set([secret, ...secret.split(/\r?\n/)])].filter((part) => part.length >= SHORTEST)
    for (const part of parts) this.#count(part, 1)
    let added = true
    return () => {
      if (added) for (const part of parts) this.#count(part, -1)
      added = false
    }
  }

  get isEmpty(): boolean {
    return this.#bytes.length === 0
  }

  /** A text with its secrets masked. */
  text(text: string): string {
    if (this.isEmpty) return text
    const stream = this.stream()
    return Buffer.concat([stream.push(Buffer.from(text)), stream.release()]).toString()
  }

  /** All strings of a JSON value masked, names of fields included. */
  json<T>(value: T): T {
    if (this.isEmpty) return value
    return mapStrings(value, (text) => this.text(text)) as T
  }

  /** For bytes that come in pieces. */
  stream(): MaskStream {
    return new MaskStream(() => this.#bytes)
  }

  #count(part: string, by: number): void {
    const count = (this.#secrets.get(part) ?? 0) + by
    if (count === 0) this.#secrets.delete(part)
    else this.#secrets.set(part, count)
    this.#bytes = [...this.#secrets.keys()].map((secret) => Buffer.from(secret))
  }
}

/** Masks bytes that come in pieces: what may be the beginning of a secret is held back until more comes. */
export class MaskStream {
  readonly #secrets: () => readonly Buffer[]
  /** The end of what was pushed. Its first `#told` bytes were given out, as a part of a masked secret. */
  #held: Buffer = Buffer.alloc(0)
  #told = 0

  constructor(secrets: () => readonly Buffer[]) {
    this.#secrets = secrets
  }

  /** Whether bytes are held back. */
  get holds(): boolean {
    return this.#held.length > this.#told
  }

  /** The bytes that can be told by now. */
  push(bytes: Buffer): Buffer {
    const secrets = this.#secrets()
    if (secrets.length === 0 && this.#held.length === 0) return bytes
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    return this.#tell(all, all.length - possiblePrefix(all, secrets))
  }

  /** What is held back, at the end or when it has been held for long enough. */
  release(): Buffer {
    return this.#tell(this.#held, this.#held.length)
  }

  /** Gives out the bytes before `end`, and a secret that reaches over it. */
  #tell(all: Buffer, end: number): Buffer {
    const parts: Buffer[] = []
    let at = this.#told
    for (const [from, to] of occurrences(all, this.#secrets())) {
      if (from >= end) break
      // One that began in what was told before goes on: it has its mask already.
      if (from >= at) parts.push(all.subarray(at, from), MASKED)
      at = Math.max(at, to)
    }
    if (at < end) parts.push(all.subarray(at, end))
    this.#held = all.subarray(end)
    this.#told = Math.max(at - end, 0)
    return Buffer.concat(parts)
  }
}

/** Where secrets are, in order; those that overlap as one. */
function occurrences(bytes: Buffer, secrets: readonly Buffer[]): [number, number][] {
  const found: [number, number][] = []
  for (const secret of secrets) {
    for (let at = bytes.indexOf(secret); at !== -1; at = bytes.indexOf(secret, at + 1)) {
      found.push([at, at + secret.length])
    }
  }
  const merged: [number, number][] = []
  for (const [from, to] of found.sort(([a], [b]) => a - b)) {
    const last = merged.at(-1)
    if (last !== undefined && from < last[1]) last[1] = Math.max(last[1], to)
    else merged.push([from, to])
  }
  return merged
}

/** How many bytes at the end may be the beginning of a secret. */
function possiblePrefix(bytes: Buffer, secrets: readonly Buffer[]): number {
  let longest = 0
  for (const secret of secrets) {
    const first = secret[0] as number
    const from = Math.max(0, bytes.length - secret.length + 1)
    for (
      let at = bytes.indexOf(first, from);
      at !== -1 && bytes.length - at > longest;
      at = bytes.indexOf(first, at + 1)
    ) {
      if (secret.subarray(0, bytes.length - at).equals(bytes.subarray(at))) longest = bytes.length - at
    }
  }
  return longest
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [map(name), mapStrings(item, map)]))
}
