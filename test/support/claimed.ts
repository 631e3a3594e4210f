import { setTimeout as sleep } from 'node:timers/promises'
import { claimFolder, FolderTaken } from '../../service/database/claim-folder.ts'

/**
 * Waits until this process is the only one that works on a folder of what is kept: test files run beside each other,
 * one makes what is dear, the others find it made.
 * @returns gives the folder up
 */
export async function claimed(folder: string): Promise<() => void> {
  for (;;) {
    try {
      return claimFolder(folder)
    } catch (error) {
      if (!(error instanceof FolderTaken)) throw error
    }
    await sleep(100)
  }
}
