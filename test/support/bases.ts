import { createReadStream } from 'node:fs'
import Docker from 'dockerode'
import { standInRootfs } from '../../machine/debootstrap.ts'
import { STAND_IN_CONFIG, STAND_IN_FORMAT, STAND_INS } from '../../machine/stand-ins.ts'

/** The Python versions that tests cover. */
export type PythonVersion = '3.9' | '3.11' | '3.13'

/**
 * The name of a local image with that Python, as an operator's base image has it (the interpreter is
 * /usr/bin/python3). Made where it is missing, and kept for the next time.
 */
export async function baseImage(python: PythonVersion): Promise<string> {
  const docker = new Docker({ timeout: 120_000 })
  const name = `meadow-test/base:${python}-${STAND_IN_FORMAT}`
  if (await exists(docker, name)) return name
  const standIn = STAND_INS.find((each) => each.python === python)
  if (!standIn) throw new Error(`no stand-in has Python ${python}`)
  const rootfs = await standInRootfs(standIn, { say: (line) => console.error(line) })
  await importImage(docker, createReadStream(rootfs), name)
  return name
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
