import { createReadStream } from 'node:fs'
import Docker from 'dockerode'
import type { Say } from './command.ts'
import { standInRootfs } from './debootstrap.ts'
import { STAND_IN_CONFIG, STAND_IN_FORMAT, STAND_INS } from './stand-ins.ts'

const ANSWER_MS = 120_000

/**
 * A stand-in as an image of the local engine, which needs no registry. Made where it is missing, kept for the next time.
 * @param python `3.11`
 * @returns its name
 * @throws {SetupImpossible} where it can't be made on this machine
 */
export async function localBase(python: string, { say }: { say: Say }): Promise<string> {
  const standIn = STAND_INS.find((each) => each.python === python)
  if (!standIn) throw new RangeError(`No stand-in has Python ${python}`)
  const docker = new Docker({ timeout: ANSWER_MS })
  const name = `meadow-run/stand-in:${python}-${STAND_IN_FORMAT}`
  if (!(await exists(docker, name))) {
    const rootfs = await standInRootfs(standIn, { say })
    await importImage(docker, createReadStream(rootfs), name)
  }
  return name
}

/** The names with this beginning by which the engine knows images: `127.0.0.1:8470/`. */
export async function imageNames(prefix: string): Promise<string[]> {
  const images = await new Docker({ timeout: ANSWER_MS }).listImages()
  const names = images.flatMap(({ RepoTags, RepoDigests }) => [...(RepoTags ?? []), ...(RepoDigests ?? [])])
  return names.filter((name) => name.startsWith(prefix))
}

/**
 * Removes every image that the engine knows by a name with this beginning.
 * @param keep names that stay
 */
export async function removeImages(prefix: string, keep: readonly string[] = []): Promise<void> {
  const docker = new Docker({ timeout: ANSWER_MS })
  for (const name of await imageNames(prefix)) {
    if (keep.includes(name)) continue
    // With an image's last tag its digests go too.
    if (await exists(docker, name)) await docker.getImage(name).remove()
  }
}

async function exists(docker: Docker, name: string): Promise<boolean> {
  try {
    await docker.getImage(name).inspect()
    return true
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false
    throw error
  }
}

async function importImage(docker: Docker, tar: NodeJS.ReadableStream, name: string): Promise<void> {
  const [repo, tag] = name.split(':')
  const changes = [...STAND_IN_CONFIG.Env.map((entry) => `ENV ${entry}`), `CMD ${JSON.stringify(STAND_IN_CONFIG.Cmd)}`]
  const progress = await docker.importImage(tar, { repo, tag, changes })
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve()))
  })
}
