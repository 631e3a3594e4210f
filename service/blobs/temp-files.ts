import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeAll } from '../../common/write-all.ts'

/** Small chunks are gathered up to this size: a system call each would cost more than the bytes. */
const GATHER = 256 * 1024

/** Files that are being written. Their names begin with the process that writes them. */
export class TempFiles {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Makes the folder where it is missing, and removes the files of processes that are no more. */
  static async open(folder: string): Promise<TempFiles> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(folder)) {
      if (!isWritten(name)) await rm(join(folder, name), { force: true })
    }
    return new TempFiles(folder)
  }

  /** A new, empty file. Whoever makes it discards it. */
  async create(): Promise<TempFile> {
    const name = `${process.pid}-${randomUUID()}`
    const path = join(this.#folder, name)
    mine.add(name)
    try {
      return new TempFile(path, await open(path, 'wx', 0o600), () => mine.delete(name))
    } catch (error) {
      mine.delete(name)
      throw error
    }
  }
}

/** The files that this process writes: one with its number that is not among them is of an earlier process. */
const mine = new Set<string>()

function isWritten(name: string): boolean {
  const pid = Number.parseInt(name, 10)
  if (pid === process.pid) return mine.has(name)
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    // EPERM: it lives, and is another user's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** A file that is visible to nobody until it is moved to its place. */
export class TempFile {
  readonly #path: string
  readonly #file: FileHandle
  readonly #discarded: () => void
  #gathered = Buffer.alloc(0)
  #length = 0

  constructor(path: string, file: FileHandle, discarded: () => void) {
    this.#path = path
    this.#file = file
    this.#discarded = discarded
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#length + chunk.length > GATHER) await this.#flush()
    if (chunk.length > GATHER) return await writeAll(this.#file, chunk)
    this.#makeRoom(chunk.length)
    this.#gathered.set(chunk, this.#length)
    this.#length += chunk.length
  }

  /** Moves it to a path in a folder that exists. It is durable there when this resolves. */
  async moveTo(path: string): Promise<void> {
    await this.#flush()
    await this.#file.sync()
    await rename(this.#path, path)
    await syncFolder(dirname(path))
  }

  /** Lets go of the file, and removes it where it was not moved. */
  async discard(): Promise<void> {
    await this.#file.close()
    await rm(this.#path, { force: true })
    this.#discarded()
  }

  /** Most files are small: room is made as it is needed. */
  #makeRoom(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#gathered.length) return
    const larger = Buffer.allocUnsafe(Math.min(GATHER, Math.max(needed, 4 * this.#gathered.length)))
    larger.set(this.#gathered.subarray(0, this.#length))
    this.#gathered = larger
  }

  async #flush(): Promise<void> {
    await writeAll(this.#file, this.#gathered.subarray(0, this.#length))
    this.#length = 0
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
