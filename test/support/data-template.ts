import { createHash } from 'node:crypto'
import { constants, createReadStream, existsSync } from 'node:fs'
import { cp, glob, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { standInRootfs } from '../../machine/debootstrap.ts'
import { removeImages } from '../../machine/local-base.ts'
import { cacheFolder, STAND_IN_CONFIG, STAND_IN_FORMAT, STAND_INS } from '../../machine/stand-ins.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { EmbeddedRegistry } from '../../service/registry/embedded.ts'
import { importBase } from '../../service/registry/import-base.ts'
import { claimed } from './claimed.ts'
import { Project } from './project.ts'
import { logOf, serviceHome, startProcess } from './service-process.ts'
import { ARCHITECTURE } from './small-image.ts'

/**
 * Copies a data folder of a service that has three base images, their probes and the builder image, and knows one
 * package, six. Made once for these sources and kept, with its images in the engine, beside the stand-ins that it is
 * made of: else each test file would spend half a minute on it.
 */
export async function copyTemplate(folder: string): Promise<void> {
  await cp(await template(), folder, { recursive: true, mode: constants.COPYFILE_FICLONE })
}

async function template(): Promise<string> {
  const all = join(cacheFolder(), 'e2e')
  const folder = join(all, await keyOfSources())
  const release = await claimed(all)
  try {
    if (existsSync(folder)) return folder
    await removeOthers(all)
    const part = `${folder}.part`
    await mkdir(part)
    await make(part)
    await rename(join(part, 'data'), folder)
    await rm(part, { recursive: true })
    return folder
  } finally {
    release()
  }
}

async function keyOfSources(): Promise<string> {
  const root = join(import.meta.dirname, '../..')
  const files: string[] = []
  for await (const file of glob(['service/**/*.{ts,py,txt}', 'common/*.ts', 'package-lock.json'], { cwd: root }))
    files.push(file)
  const hash = createHash('sha256').update(`${STAND_IN_FORMAT}`)
  for (const file of files.sort()) hash.update(file).update(await readFile(join(root, file)))
  return hash.digest('hex').slice(0, 16)
}

/** Another checkout on this machine may still use a template that is younger (ms). */
const KEPT_MS = 2 * 60 * 60 * 1000

/** Templates of older sources, with what they have in the engine, and what an interrupted making left. */
async function removeOthers(all: string): Promise<void> {
  for (const entry of await readdir(all, { withFileTypes: true })) {
    const { mtimeMs } = await stat(join(all, entry.name))
    if (!entry.isDirectory() || (!entry.name.endsWith('.part') && Date.now() - mtimeMs < KEPT_MS)) continue
    const host = await readFile(join(all, entry.name, 'template-host'), 'utf8').catch(() => undefined)
    if (host !== undefined) await removeImages(`${host}/`)
    await rm(join(all, entry.name), { recursive: true, force: true })
  }
}

async function make(folder: string): Promise<void> {
  await importBases(join(folder, 'data'))
  const git = join(folder, 'git')
  const home = await serviceHome(folder, { MEADOW_GIT_URL: `file://${git}`, MEADOW_STANDBYS: '0' })
  await writeFile(join(folder, 'data/template-host'), home.host)
  const service = await startProcess(home)
  try {
    const project = await Project.make(home, git, 'meadow/template')
    const commit = await project.commit({ 'requirements.txt': 'six==1.16.0\n' })
    await project.push(commit)
    for (const python of STAND_INS.map((each) => each.python)) {
      const build = await project.built(await project.build(commit, { 'python-version': python }))
      if (build.state !== 'finished') throw new Error(`${build.message}\n${logOf(home)}`)
    }
  } finally {
    await service.stop()
  }
  // Two services of one id would take each other's containers for strays.
  for (const name of ['node-id', 'pull-password', 'token', 'webhook-secret', 'git', 'service.lock'])
    await rm(join(folder, 'data', name), { recursive: true, force: true })
}

async function importBases(data: string): Promise<void> {
  const database = openSqlite(data)
  try {
    const blobs = await openFileBlobs(join(data, 'blobs'))
    const registry = new EmbeddedRegistry(database, blobs, () => '')
    const config = { architecture: ARCHITECTURE, env: STAND_IN_CONFIG.Env, command: STAND_IN_CONFIG.Cmd }
    await Promise.all(
      STAND_INS.map(async (standIn) => {
        const rootfs = await standInRootfs(standIn, { say: (line) => console.error(line) })
        await importBase(registry, blobs, standIn.name, createReadStream(rootfs, { highWaterMark: 2 ** 20 }), config)
      }),
    )
  } finally {
    await database.close()
  }
}
