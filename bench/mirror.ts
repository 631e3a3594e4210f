import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { prepareMirrorLocal } from '../client/deployment/mirror-local.ts'
import { Http } from '../client/http.ts'
import { Service } from '../client/service.ts'
import type { Bench } from './bench.ts'
import { quantile, type Row, row } from './rows.ts'

const ROUNDS = 5
const FILES = 4000
/** Bytes of a file; with 4000 of them a tree of 200 MB. */
const FILE = 50_000
const NOTEBOOK = 150_000
/** So old that nothing of it is read again for being new. */
const OLD = new Date(Date.now() - 3_600_000)

/** Counts what it sends. */
class CountingService extends Service {
  bytes = 0

  override async missing(...given: Parameters<Service['missing']>) {
    this.bytes += JSON.stringify(given[0]).length
    return await super.missing(...given)
  }

  override async uploadBatch(batch: Blob, signal?: AbortSignal): Promise<void> {
    this.bytes += batch.size
    await super.uploadBatch(batch, signal)
  }
}

/** A tree of 200 MB: sent for the first time, unchanged, unchanged where nothing of it is remembered, and with a changed notebook; the local Python is asked each time. */
export async function mirror({ installation, say }: Bench): Promise<Row[]> {
  const { url, token } = await installation.service(0, say)
  const folder = await mkdtemp(join(installation.folder, 'mirror-'))
  try {
    const project = join(folder, 'project')
    const notebook = join(project, 'notebooks', 'study.ipynb')
    await writeTree(project, notebook)
    const service = new CountingService(new Http({ url: new URL(url) }))
    await service.signIn(token, 'bench/mirror')
    const send = async (cache = 'cache') => {
      const begin = performance.now()
      service.bytes = 0
      const asked = { repository: 'bench/mirror', interpreter: 'auto', folder: project }
      await prepareMirrorLocal(service, asked, { env: process.env, cache: join(folder, cache), say: () => {} })
      return { seconds: (performance.now() - begin) / 1000, bytes: service.bytes }
    }
    say(
      `A tree of ${(FILES * FILE) / 1e6} MB in ${FILES} files, first sent, then unchanged, then with a changed notebook …`,
    )
    const first = await send()
    const unchanged: number[] = []
    for (let round = 0; round < ROUNDS; round++) unchanged.push((await send()).seconds)
    // What a runner is that begins empty each time: everything is read.
    const elsewhere: number[] = []
    for (let round = 0; round < ROUNDS; round++) elsewhere.push((await send(`cache${round}`)).seconds)
    await writeFile(notebook, bytesOf('changed', NOTEBOOK))
    const changed = await send()
    return [
      row('mirror', 'first upload', 's', first.seconds),
      row('mirror', 'unchanged, to nothing to upload', 's', quantile(unchanged)),
      row('mirror', 'unchanged, seen from a new runner', 's', quantile(elsewhere)),
      row('mirror', 'changed notebook', 's', changed.seconds),
      row('mirror', 'changed notebook, sent', 'kB', changed.bytes / 1000),
    ]
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function writeTree(project: string, notebook: string): Promise<void> {
  const write = async (path: string, content: Buffer) => {
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, content)
    await utimes(path, OLD, OLD)
  }
  await write(join(project, 'requirements.txt'), Buffer.from('six==1.16.0\n'))
  for (let n = 0; n < FILES; n++) await write(join(project, `part${n % 100}`, `file${n}.bin`), bytesOf(`${n}`, FILE))
  await write(notebook, bytesOf('notebook', NOTEBOOK))
}

/** Bytes that nothing makes smaller, the same for one seed. */
function bytesOf(seed: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(seed).digest()
}
