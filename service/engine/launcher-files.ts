import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { type Owner, ownedHeader } from '../../common/owned-header.ts'
import { TAR_END, tarPadding } from '../../common/tar.ts'

const FOLDER = new URL('./launcher/', import.meta.url)
/** Where the launcher is in a container. */
export const LAUNCHER_PATH = '/.meadow/launcher'
/** Where the code is in a container. */
export const WORKSPACE = '/workspace'

/** Where a root of the code is: `/workspace`, `/workspace.1` and so on. */
export function workspace(root: number): string {
  return root === 0 ? WORKSPACE : `${WORKSPACE}.${root}`
}

/** The launcher's files by name, in order. */
async function launcherFiles(): Promise<[string, Buffer][]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.py')).sort()
  return Promise.all(
    names.map(async (name): Promise<[string, Buffer]> => [name, await readFile(new URL(name, FOLDER))]),
  )
}

/** Changes whenever the launcher does: a standby with another one is of no use. */
export async function launcherVersion(): Promise<string> {
  const hash = createHash('sha256')
  for (const [name, content] of await launcherFiles()) hash.update(`${name}\0${content.length}\0`).update(content)
  return hash.digest('hex').slice(0, 16)
}

/** A tar for the root of a container: the launcher, and empty workspaces that belong to the user. */
export async function launcherTar(owner: Owner, roots = 1): Promise<Buffer> {
  const folder = (path: string, mode: number) =>
    ownedHeader({ path, type: 'directory', mode, size: 0, mtime: 0 }, owner)
  const files = (await launcherFiles()).flatMap(([name, content]) => {
    const path = `${LAUNCHER_PATH.slice(1)}/${name}`
    return [
      ownedHeader({ path, type: 'file', mode: 0o444, size: content.length, mtime: 0 }, owner),
      content,
      tarPadding(content.length),
    ]
  })
  return Buffer.concat([
    folder('.meadow', 0o755),
    folder(LAUNCHER_PATH.slice(1), 0o755),
    ...files,
    ...Array.from({ length: roots }, (_, root) => folder(workspace(root).slice(1), 0o755)),
    TAR_END,
  ])
}
