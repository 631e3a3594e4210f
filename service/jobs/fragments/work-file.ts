import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Puts a stream into a file of a folder for as long as it is in use; disposing removes it. */
export async function workFile(folder: string, bytes: Readable): Promise<{ file: string } & AsyncDisposable> {
  await mkdir(folder, { recursive: true })
  const file = join(folder, randomUUID())
  const remove = () => rm(file, { force: true })
  try {
    await pipeline(bytes, createWriteStream(file, { flags: 'wx' }))
  } catch (error) {
    await remove()
    throw error
  }
  return { file, [Symbol.asyncDispose]: remove }
}
