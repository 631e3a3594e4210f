import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './sqlite-driver.ts'

/** Another service works on the data folder. */
export class FolderTaken extends Error {
  override name = 'FolderTaken'
  readonly hint = 'stop it, or give this one a folder of its own (MEADOW_DATA)'
}

/** Kept here: a connection that nobody refers to is collected, and its lock with it. */
const held = new Set<DatabaseSync>()

/**
 * Makes this process the one service of a data folder, until it ends, however it ends, or gives it up. The lock is
 * SQLite's own on a file of its own: the kernel lets go of it with the process.
 * @returns gives the folder up
 * @throws {FolderTaken} naming the process that has it
 */
export function claimFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const holder = join(folder, 'service.pid')
  const lock = new DatabaseSync(join(folder, 'service.lock'), { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (!isBusy(error)) throw error
    throw new FolderTaken(`another service works on ${folder}: ${nameOf(holder)}`, { cause: error })
  }
  held.add(lock)
  writeFileSync(holder, `process ${process.pid} on ${hostname()}`, { mode: 0o600 })
  return () => {
    if (!held.delete(lock)) return
    rmSync(holder, { force: true })
    lock.close()
  }
}

function nameOf(holder: string): string {
  try {
    return readFileSync(holder, 'utf8')
  } catch {
    // It has the lock, and has not written its number yet.
    return 'a process that starts or stops just now'
  }
}
