import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { digestOf } from '../../common/piece-index.ts'
import type { LocalFile } from './local-walk.ts'

/** Digest and bytes of a piece. */
type Known = { digest: string; size: number }

/**
 * A file that was changed less than this (ms) before it was looked at may be changed again without a sign: clocks of
 * file systems tick as slowly as every two seconds. It is read again until it has been let alone.
 */
const RACY = 2500

const Stored = z.record(z.string(), z.array(z.tuple([z.string(), z.int()])))

/** What the pieces of a root were when they were read last, by path, mode, size, times and inode of their files. */
export class PieceCache {
  readonly #file: string | undefined
  readonly #before: z.infer<typeof Stored>
  readonly #now: z.infer<typeof Stored> = {}
  readonly #opened = Date.now()
  #changed = false

  private constructor(file: string | undefined, before: z.infer<typeof Stored>) {
    this.#file = file
    this.#before = before
  }

  /**
   * The cache of a root. A file of it that is not there, or is damaged, is one with nothing in it.
   * @param folder of all caches; without one, nothing is kept
   */
  static async open(folder: string | undefined, root: string): Promise<PieceCache> {
    if (folder === undefined) return new PieceCache(undefined, {})
    const file = join(folder, `pieces-${digestOf(Buffer.from(root)).slice(7, 39)}.json`)
    const text = await readFile(file, 'utf8').catch(() => '{}')
    return new PieceCache(file, Stored.safeParse(json(text)).data ?? {})
  }

  find(key: string): Known[] | undefined {
    return this.#before[key]?.map(([digest, size]) => ({ digest, size }))
  }

  /** Keeps what is known of files for the next time, unless one of them is too new to be told from what it may become. */
  keep(key: string, pieces: readonly Known[], files: readonly LocalFile[]): void {
    if (files.some(({ changed }) => changed > this.#opened - RACY)) return
    this.#changed ||= !(key in this.#before)
    this.#now[key] = pieces.map(({ digest, size }) => [digest, size])
  }

  /** Writes what was kept, and nothing else, where it is not what was read. */
  async save(): Promise<void> {
    const same = !this.#changed && Object.keys(this.#now).length === Object.keys(this.#before).length
    if (this.#file === undefined || same) return
    await mkdir(join(this.#file, '..'), { recursive: true, mode: 0o700 })
    const temporary = `${this.#file}.${process.pid}`
    await writeFile(temporary, JSON.stringify(this.#now), { mode: 0o600 })
    await rename(temporary, this.#file)
  }
}

/** Where a program keeps what it can find out again. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.RUNNER_TEMP) return join(env.RUNNER_TEMP, 'meadow-run')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'meadow-run')
  if (process.platform === 'win32' && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, 'meadow-run', 'cache')
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'meadow-run')
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
