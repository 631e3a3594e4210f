import { execFile } from 'node:child_process'
import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { type MirrorLocal, type MirrorOptions, prepareMirrorLocal } from '../../client/deployment/mirror-local.ts'
import { Http } from '../../client/http.ts'
import { Service } from '../../client/service.ts'
import { readTar } from '../../common/read-tar.ts'
import type { Digest } from '../../service/blobs/blobs.ts'
import { Mirrors } from '../../service/source/mirror.ts'
import { STATIC_TOKEN, startApi, type TestApi } from './api.ts'
import { temporaryFolder } from './repositories.ts'

/** A service that counts what it is sent. */
export class CountingService extends Service {
  requests = 0
  bytes = 0

  override async missing(...given: Parameters<Service['missing']>) {
    this.requests++
    this.bytes += JSON.stringify(given[0]).length
    return await super.missing(...given)
  }

  override async uploadBatch(batch: Blob, signal?: AbortSignal): Promise<void> {
    this.requests++
    this.bytes += batch.size
    await super.uploadBatch(batch, signal)
  }
}

/** A project folder beside the real API server, and a virtual environment whose Python is the active one. */
export async function mirrorSetUp(t: TestContext) {
  const folder = await realpath(await temporaryFolder(t))
  const project = join(folder, 'project')
  await mkdir(project)
  const api = await startApi(t, { maxUploadBytes: 100_000_000 })
  const service = new CountingService(new Http({ url: new URL(api.url) }))
  await service.signIn(STATIC_TOKEN, 'octo/garden')
  const { id } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  const said: string[] = []
  const venv = join(folder, 'venv')
  await promisify(execFile)('python3', ['-m', 'venv', '--without-pip', venv])
  // Settings of the machine's own pip are none of the tests'.
  const env = { PATH: process.env.PATH, VIRTUAL_ENV: venv, PIP_CONFIG_FILE: '/dev/null' }
  const prepare = async (mirror: Partial<MirrorLocal> = {}, options: Partial<MirrorOptions> = {}) => {
    said.length = 0
    service.requests = 0
    service.bytes = 0
    return await prepareMirrorLocal(
      service,
      { repository: 'octo/garden', interpreter: 'auto', folder: project, ...mirror },
      { env, cache: join(folder, 'cache'), say: (line) => said.push(line), ...options },
    )
  }
  return { folder, project, api, service, id, said, env, venv, prepare }
}

/** The bundle that the service makes of a root: paths with what is in them, `-> target` and `(x)` for programs. */
export async function bundleOfRoot(api: TestApi, domain: string, root: string | undefined) {
  const mirrors = new Mirrors(api)
  const { digest } = await mirrors.bundle(domain, root as Digest, new AbortController().signal)
  const files: Record<string, string> = {}
  for await (const { entry, content } of readTar(await api.blobs.open(digest))) {
    const chunks: Buffer[] = []
    for await (const chunk of content) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    if (entry.type === 'symlink') files[entry.path] = `-> ${entry.link}`
    if (entry.type === 'file') files[entry.path] = entry.mode === 0o755 ? `${text} (x)` : text
  }
  return { digest, files }
}
