import { deepEqual, equal } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import Docker from 'dockerode'
import { readTar } from '../../common/read-tar.ts'
import { tarArchive } from '../../common/tar.ts'
import type { Digest } from '../../service/blobs/blobs.ts'
import { type AssembledImage, assembleImage } from '../../service/image/assemble.ts'
import type { BaseImage } from '../../service/image/base.ts'
import type { Layout } from '../../service/image/layout.ts'
import { planDelta, planFresh } from '../../service/image/plan.ts'
import { FIXED_TIME } from '../../service/image/skeleton.ts'
import { startRegistry } from '../support/debian-registry.ts'
import {
  BASE,
  type MadeArtifact,
  type MadeFile,
  MemoryLayerIndex,
  SITE,
  SKELETON,
  storeArtifact,
} from '../support/fragments.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'
import { applyLayers, installOneByOne } from '../support/trees.ts'

const run = promisify(execFile)
const folder = await mkdtemp(join(tmpdir(), 'engine-tree-'))
const registry = await startRegistry(join(folder, 'registry'))
const docker = new Docker()
const pulled: string[] = []
after(async () => {
  for (const reference of pulled.toReversed()) await docker.getImage(reference).remove()
  await registry.stop()
  await rm(folder, { recursive: true })
})

const blobs = new MemoryBlobs()
const layers = new MemoryLayerIndex()

const a1 = made('a', '1', { 'ns/x.py': 'a', 'ns/a.py': '1', m: 'a file', 'gone/deep/down.py': '' })
const a2 = made('a', '2', { 'ns/a.py': '2', m: 'a file' })
const b1 = made('b', '1', { 'ns/x.py': 'b', 'ns/b/data': 'b' })
const c1 = made('c', '1', { 'm/sub/z.py': 'z' })
const d1 = made('d', '1', { ns: 'a file over a folder' })
const e1: MadeArtifact = {
  name: 'e',
  version: '1',
  files: [{ path: `${SITE}/l`, content: '', link: 'ns/b', mode: 0o777 }],
}
const f1 = made('f', '1', { 'l/data': 'a folder over a link' })

const g1 = made('g', '1', { 'ns/x.py': 'g', 'g.bin': randomBytes(600_000).toString('hex').repeat(2), l: 'a file' })

/** Each state is a delta on the one before. */
const STATES: [string, MadeArtifact[]][] = [
  ['two owners of a path', [a1, b1]],
  ['its winner gone, and a folder in place of a file', [a1, c1]],
  ['the file again, and a file in place of a folder', [a1, d1]],
  ['the folder again, what was in it before, a layer for the second time, a link', [a1, b1, e1]],
  ['another version, and a folder in place of the link', [a2, b1, e1, f1]],
  ['the link again, whole folders gone', [b1, e1]],
  ['a layer for a large one, that wins a path and gives way to a folder', [b1, f1, g1]],
]

test('an engine shows the tree of every delta as it is by definition', { timeout: 300_000 }, async (t) => {
  const base = await makeBase()
  let parent: Layout | undefined
  for (const [name, artifacts] of STATES) {
    await t.test(name, async () => {
      const planned = await Promise.all(artifacts.map((one) => storeArtifact(one, blobs)))
      const request = { base, skeleton: SKELETON, artifacts: planned }
      const plan = parent ? await planDelta(request, parent, loadFragment) : planFresh(request)
      equal(plan.kind, parent ? 'delta' : 'fresh')
      const image = await assembleImage({ base, plan, blobs, layers })
      parent = image.layout
      const expected = installOneByOne(SKELETON, artifacts)
      deepEqual(sorted(await applyLayers(image.layers.slice(1), blobs)), sorted(expected))
      deepEqual(await exported(image), sorted(expected))
    })
  }
})

test('skopeo reads an image, and makes a Docker archive of it', { timeout: 60_000 }, async () => {
  const base = await makeBase()
  const artifacts = [await storeArtifact(a1, blobs)]
  const image = await assembleImage({ base, plan: planFresh({ base, skeleton: SKELETON, artifacts }), blobs, layers })
  const source = await ociLayout(image)
  const { stdout } = await run('skopeo', ['inspect', source], { timeout: 30_000 })
  const seen = JSON.parse(stdout) as Record<string, unknown>
  deepEqual([seen.Digest, seen.Layers], [image.digest, image.layers.map(({ digest }) => digest)])
  const archive = `docker-archive:${join(folder, 'archive.tar')}:layouts:latest`
  await run('skopeo', ['copy', '--insecure-policy', source, archive], { timeout: 30_000 })
})

/** One small layer, named as Docker's own tools name it, with something where the environment will be. */
async function makeBase(): Promise<BaseImage> {
  const tar = tarArchive([
    { path: 'bin', type: 'directory', mode: 0o755, mtime: FIXED_TIME },
    { path: 'bin/nothing', type: 'file', mode: 0o755, mtime: FIXED_TIME, content: Buffer.from('nothing') },
    ...['opt', 'opt/env', 'opt/env/stale'].map((path) => ({ path, type: 'directory' as const, mode: 0o755, mtime: 0 })),
    { path: 'opt/env/stale/x.py', type: 'file', mode: 0o644, mtime: 0, content: Buffer.from('not ours') },
  ])
  const layer = await blobs.put(gzipSync(tar))
  const { digest: diffId } = await blobs.put(tar)
  const mediaType = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
  return { ...BASE, layers: [{ ...layer, diffId, mediaType }] }
}

/** What a container of the image holds, by way of a registry. */
async function exported(image: AssembledImage): Promise<[string, string][]> {
  const repository = `${registry.host}/layouts`
  const target = `docker://${repository}:${image.digest.slice(7, 19)}`
  const copy = ['copy', '--insecure-policy', '--dest-tls-verify=false', await ociLayout(image), target]
  await run('skopeo', copy, { timeout: 30_000 })
  const reference = `${repository}@${image.digest}`
  const progress = await docker.pull(reference, { abortSignal: AbortSignal.timeout(60_000) })
  await new Promise<void>((done, failed) => {
    docker.modem.followProgress(progress, (error: Error | null) => (error ? failed(error) : done()))
  })
  pulled.push(reference)
  const container = await docker.createContainer({
    Image: reference,
    Cmd: ['/bin/nothing'],
    Labels: { 'test.layouts': '' },
  })
  try {
    return await ours(await container.export())
  } finally {
    await container.remove()
  }
}

/** Without what the engine puts into every container. */
async function ours(tar: NodeJS.ReadableStream): Promise<[string, string][]> {
  const tree = new Map<string, string>()
  for await (const { entry, content } of readTar(Readable.from(tar))) {
    const { path, type, mode, link, mtime } = entry
    const text = await buffer(content)
    if (!/^(opt|workspace)(\/|$)/.test(path)) continue
    equal(mtime, FIXED_TIME, path)
    const kinds = {
      directory: `folder ${mode.toString(8)}`,
      symlink: `link ${link}`,
      file: `file ${mode.toString(8)} ${text}`,
    }
    tree.set(path, kinds[type])
  }
  return sorted(tree)
}

/** An OCI image layout (image-layout.md) of its own, as skopeo names it. */
async function ociLayout({ digest, mediaType, manifest, layers }: AssembledImage): Promise<string> {
  const root = await mkdtemp(join(folder, 'oci-'))
  await mkdir(join(root, 'blobs', 'sha256'), { recursive: true })
  const { config } = JSON.parse(String(manifest)) as { config: { digest: Digest } }
  const put = async (blob: Digest, bytes: Uint8Array) =>
    await writeFile(join(root, 'blobs', 'sha256', blob.slice(7)), bytes)
  for (const blob of [config.digest, ...layers.map((layer) => layer.digest)]) {
    await put(blob, await buffer(await blobs.open(blob)))
  }
  await put(digest, manifest)
  await writeFile(join(root, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const index = { schemaVersion: 2, manifests: [{ mediaType, digest, size: manifest.length }] }
  await writeFile(join(root, 'index.json'), JSON.stringify(index))
  return `oci:${root}`
}

async function loadFragment(manifest: Digest) {
  return JSON.parse(String(await buffer(await blobs.open(manifest))))
}

function made(name: string, version: string, contents: Record<string, string>): MadeArtifact {
  const files = Object.entries(contents).map(([path, content]): MadeFile => ({ path: `${SITE}/${path}`, content }))
  const metadata = { path: `${SITE}/${name}-${version}.dist-info/METADATA`, content: '' }
  const bytecode = files.flatMap(({ path, content }): MadeFile[] => {
    const [, parent, module] = /^(.*\/)(\w+)\.py$/.exec(path) ?? []
    return module ? [{ path: `${parent}__pycache__/${module}.cpython-311.pyc`, content: `compiled ${content}` }] : []
  })
  return { name, version, files: [...files, metadata], bytecode }
}

function sorted(tree: Map<string, string>): [string, string][] {
  return [...tree].sort(([a], [b]) => (a < b ? -1 : 1))
}
