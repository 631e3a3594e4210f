import { writeFile } from 'node:fs/promises'
import { runCommand } from '../machine/command.ts'

/**
 * Lets who comes next make files as if none had been deleted before. For minutes ext4 gives the inode of a deleted file
 * to nobody and looks at it again for every new file, as long as its block is in memory (`recently_deleted` in
 * fs/ext4/ialloc.c): images that are removed before a measurement would cost it seconds.
 */
export async function settle(): Promise<void> {
  await runCommand('sync', [], { timeout: 60_000 })
  // Where that is not allowed, it is measured as it is.
  await writeFile('/proc/sys/vm/drop_caches', '1').catch(() => {})
}
