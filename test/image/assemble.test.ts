import { deepEqual, equal, rejects, throws } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, json } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { BlobMissing, type Blobs, type Digest, digestOf } from '../../service/blobs/blobs.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { type AssembleRequest, assembleImage } from '../../service/image/assemble.ts'
import type { BaseImage } from '../../service/image/base.ts'
import { imageKey, lineageKey } from '../../service/image/keys.ts'
import { LayerBroken } from '../../service/image/layers.ts'
import { LayoutUnreadable, layoutFromJson, layoutToJson } from '../../service/image/layout.ts'
import { BaseRefused } from '../../service/image/media-types.ts'
import { planDelta, planFresh } from '../../service/image/plan.ts'
import { SkeletonRefused, skeletonEntries } from '../../service/image/skeleton.ts'
import { BASE, MemoryLayerIndex, madeModule, PROBE, SITE, SKELETON, storeArtifact } from '../support/fragments.ts'

const run = promisify(execFile)
const folder = await mkdtemp(join(tmpdir(), 'assemble-'))
after(() => rm(folder, { recursive: true }))

test('the same environment on the same base has the same digest, whoever makes it', async () => {
  const first = await assembleImage(await requestFor('one', ['a', 'b']))
  const second = await assembleImage(await requestFor('two', ['b', 'a']))
  equal(first.digest, second.digest)
  deepEqual(layoutToJson(first.layout), layoutToJson(second.layout))
  equal(first.written, second.written)
  equal(first.reused, 0)
})

test('a layer is written once', async () => {
  const layers = new MemoryLayerIndex()
  const first = await assembleImage({ ...(await requestFor('reuse', ['a', 'b'])), layers })
  const again = await assembleImage({ ...(await requestFor('reuse', ['a', 'b'])), layers })
  deepEqual([again.digest, again.written, again.reused], [first.digest, 0, first.written])
  const more = await assembleImage({ ...(await requestFor('reuse', ['a', 'b', 'c'])), layers })
  deepEqual([more.reused, more.written], [first.written, more.layers.at(-1)?.size])
})

test('a layer that is remembered but no longer stored is written again', async () => {
  const request = await requestFor('lost', ['a'])
  const layer = (await assembleImage(request)).layers.at(-1)?.digest as Digest
  await request.blobs.remove(layer)
  await assembleImage(request)
  equal((await request.blobs.size(layer)) !== undefined, true)
})

test('config and manifest', async () => {
  const base: BaseImage = {
    ...BASE,
    platform: 'linux/arm64/v8',
    layers: [
      { digest: digest('1'), diffId: digest('2'), size: 7, mediaType: 'application/vnd.oci.image.layer.v1.tar' },
    ],
  }
  const request = await requestFor('config', ['a'], base)
  const overrides = { env: { B: '2', A: '1', LANG: 'C' }, labels: { x: 'y' } }
  const image = await assembleImage({ ...request, base, overrides })
  const manifest = JSON.parse(String(image.manifest))
  deepEqual(
    manifest.layers,
    image.layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  )
  equal(image.digest, digestOf(image.manifest))
  const config = (await json(await request.blobs.open(manifest.config.digest))) as Record<string, unknown>
  deepEqual(config, {
    created: '2000-01-01T00:00:00.000Z',
    architecture: 'arm64',
    os: 'linux',
    variant: 'v8',
    config: {
      User: '1000',
      Env: ['PATH=/opt/env/bin:/usr/bin:/bin', 'LANG=C', 'VIRTUAL_ENV=/opt/env', 'A=1', 'B=2'],
      WorkingDir: '/home',
      Labels: { x: 'y' },
    },
    rootfs: { type: 'layers', diff_ids: image.layers.map(({ diffId }) => diffId) },
    history: [`base image ${base.digest}`, 'an empty environment', 'a 1'].map((created_by) => ({
      created: '2000-01-01T00:00:00.000Z',
      created_by,
    })),
  })
})

test("Python's tarfile reads a layer, and its diffId is the digest of what gzip makes of it", async () => {
  const { blobs, ...request } = await requestFor('tarfile', ['a'])
  const image = await assembleImage({ ...request, blobs })
  const layer = image.layers.at(-1)
  const file = join(folder, 'layer.tar.gz')
  await writeFile(file, await buffer(await blobs.open(layer?.digest as Digest)))
  const program = [
    'import gzip, hashlib, sys, tarfile',
    'print(hashlib.sha256(gzip.open(sys.argv[1]).read()).hexdigest())',
    'for m in tarfile.open(sys.argv[1]): print(m.name, oct(m.mode), m.uid, m.gid, m.mtime, m.isdir())',
  ].join('\n')
  const { stdout } = await run('python3', ['-I', '-c', program, file], { timeout: 30_000 })
  const [sum, ...members] = stdout.trimEnd().split('\n')
  equal(`sha256:${sum}`, layer?.diffId)
  const folders = ['opt', 'opt/env', 'opt/env/lib', 'opt/env/lib/python3.11', SITE]
  const own = [`${SITE}/a`, `${SITE}/a-1.dist-info`, `${SITE}/a/__pycache__`]
  const files = [
    `${SITE}/a/__init__.py`,
    `${SITE}/a-1.dist-info/METADATA`,
    `${SITE}/a/__pycache__/__init__.cpython-311.pyc`,
  ]
  deepEqual(members, [
    ...[...folders, ...own].map((path) => `${path} 0o755 0 0 946684800 True`),
    ...files.map((path) => `${path} 0o644 0 0 946684800 False`),
  ])
})

test("Docker's layer types become OCI's, so that all of a manifest is of one kind", async () => {
  const base = withLayer('application/vnd.docker.image.rootfs.diff.tar.gzip')
  const image = await assembleImage({ ...(await requestFor('docker', ['a'], base)), base })
  equal(image.layers[0]?.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip')
})

test('a base that engines could not read is refused by its name', async () => {
  const zstd = withLayer('application/vnd.oci.image.layer.v1.tar+zstd')
  const request = await requestFor('zstd', ['a'], zstd)
  const refusal = (error: unknown) =>
    error instanceof BaseRefused && error.message.startsWith('base image python:3.11 ')
  await rejects(assembleImage({ ...request, base: zstd }), refusal)
  await assembleImage({ ...request, base: zstd, zstd: true })
  const foreign = withLayer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')
  await rejects(assembleImage({ ...request, base: foreign }), refusal)
  const inside = { ...PROBE, executable: '/opt/env/bin/python3.11' }
  throws(() => skeletonEntries(inside), SkeletonRefused)
})

test('a fragment that is gone or damaged makes no layer, and nothing is remembered', async () => {
  const gone = await requestFor('gone', ['a'])
  const [artifact] = gone.plan.artifacts
  await gone.blobs.remove(artifact?.files.digest as Digest)
  await rejects(assembleImage(gone), BlobMissing)
  const damaged = await requestFor('damaged', ['b'])
  const layers = new MemoryLayerIndex()
  const broken = { ...damaged, layers, blobs: damage(damaged.blobs, damaged.plan.artifacts[0]?.files.digest) }
  await rejects(assembleImage(broken), (error: unknown) => error instanceof LayerBroken && /^b 1: /.test(error.message))
  deepEqual(
    [...layers.known.values()].map(({ digest }) => digest),
    (await assembleImage({ ...damaged, layers })).layers.slice(0, 1).map(({ digest }) => digest),
  )
})

test('a delta whose parent lost a layer is not made', async () => {
  const request = await requestFor('orphan', ['a'])
  const parent = await assembleImage(request)
  const more = await requestFor('orphan', ['a', 'b'])
  const plan = await planDelta({ base: BASE, skeleton: SKELETON, artifacts: more.plan.artifacts }, parent.layout, never)
  await request.blobs.remove(parent.layers.at(-1)?.digest as Digest)
  await rejects(assembleImage({ ...more, plan }), BlobMissing)
})

test('assembling stops when it is told to', async () => {
  const request = await requestFor('stop', ['a'])
  await rejects(assembleImage({ ...request, signal: AbortSignal.abort(new Error('enough')) }), /enough/)
})

test('a layout of another format is not read', async () => {
  const { layout } = await assembleImage(await requestFor('format', ['a']))
  deepEqual(layoutFromJson(String(layoutToJson(layout))), layout)
  throws(() => layoutFromJson(JSON.stringify({ ...layout, format: 0 })), LayoutUnreadable)
  throws(() => layoutFromJson('{'), LayoutUnreadable)
})

test('keys depend on all of their parts', () => {
  const image = {
    ...{ lock: digest('1'), base: digest('2'), platform: 'linux/amd64', seed: '' },
    environment: 'venv' as const,
  }
  const keys = [
    imageKey(image),
    imageKey({ ...image, lock: digest('2'), base: digest('1') }),
    imageKey({ ...image, platform: 'linux/arm64' }),
    imageKey({ ...image, environment: 'venv on image' }),
    imageKey({ ...image, seed: 'pip' }),
    lineageKey('o/r', 'requirements.txt', digest('2')),
    lineageKey('o/r', 'other.txt', digest('2')),
    lineageKey('o/s', 'requirements.txt', digest('2')),
  ]
  equal(new Set(keys).size, keys.length)
  equal(imageKey(image), keys[0])
})

async function requestFor(store: string, names: string[], base = BASE): Promise<AssembleRequest> {
  const blobs = await openFileBlobs(join(folder, store))
  const artifacts = await Promise.all(names.map((name) => storeArtifact(madeModule(name), blobs)))
  return { base, plan: planFresh({ base, skeleton: SKELETON, artifacts }), blobs, layers: new MemoryLayerIndex() }
}

function withLayer(mediaType: string): BaseImage {
  return { ...BASE, layers: [{ digest: digest('1'), diffId: digest('2'), size: 7, mediaType }] }
}

/** The same blobs, but one of them is read with a byte changed. */
function damage(blobs: Blobs, broken: Digest | undefined): Blobs {
  return {
    size: (digest) => blobs.size(digest),
    put: (source, expected) => blobs.put(source, expected),
    remove: (digest) => blobs.remove(digest),
    open: (digest, range) => blobs.open(digest, range),
    async *parts(digest, ranges) {
      for await (const chunk of blobs.parts(digest, ranges)) {
        // Behind the ten bytes of a gzip header, which no checksum covers.
        if (digest === broken) chunk[12] = (chunk[12] ?? 0) ^ 0xff
        yield chunk
      }
    },
  }
}

function digest(digit: string): Digest {
  return `sha256:${digit.repeat(64)}`
}

async function never(): Promise<never> {
  throw new Error('nothing needs to be loaded')
}
