import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Digest } from '../../../service/blobs/blobs.ts'
import { findImage, saveImage, saveLayer } from '../../../service/database/known.ts'
import type { ImageRow } from '../../../service/database/schema.ts'
import { MANIFEST_TYPE } from '../../../service/image/media-types.ts'
import { cleanUp } from '../../../service/jobs/images/clean-up.ts'
import { imageRepository } from '../../../service/jobs/images/image-store.ts'
import { GLOBAL } from '../../../service/policy/domain.ts'
import { EmbeddedRegistry } from '../../../service/registry/embedded.ts'
import { temporaryDatabase } from '../../support/database.ts'
import { MemoryBlobs } from '../../support/memory-blobs.ts'

/** Images that nobody uses go, with what only they had; the hour of grace is a time that is given. */

const HOUR = 3_600_000
const LIFETIME = 24 * HOUR
const NOW = 1_000 * HOUR

async function setUp(t: TestContext) {
  const database = await temporaryDatabase(t)
  const blobs = new MemoryBlobs()
  const registry = new EmbeddedRegistry(database, blobs, () => 'registry')
  const removed: string[] = []
  const layer = async (text: string): Promise<Digest> => {
    const { digest } = await blobs.put(Buffer.from(text))
    await database.write(({ db }) => saveLayer(db, { key: text, digest, diff_id: digest, size: 1, tar_size: 1 }))
    return digest
  }
  /** An image of some layers, in both forms. */
  const image = async (key: string, layers: Digest[], used: number, domain = 'rep_1') => {
    const { digest: config } = await blobs.put(Buffer.from('{}'))
    const put = async (form: string) => {
      const listed = layers.map((digest) => ({ mediaType: form, digest, size: 1 }))
      const manifest = { schemaVersion: 2, config: { mediaType: key, digest: config, size: 2 }, layers: listed }
      return await registry.put(imageRepository(domain), Buffer.from(JSON.stringify(manifest)), MANIFEST_TYPE)
    }
    const [digest, plain] = [await put('zipped'), await put('plain')]
    const rest = { layout: digest, lock: digest, lineage: 'l', kin: 'k', branch: '', user: '0:0', created: 0 }
    await database.write(({ db }) => saveImage(db, { domain, key, digest, plain, used, ...rest }))
    return { digest, plain }
  }
  const parts = {
    ...{ database, blobs, registry, lifetime: LIFETIME, log: () => {} },
    removeImage: async (reference: string) => void removed.push(reference),
  }
  const isKnown = async (key: string, domain = 'rep_1') =>
    (await findImage(database.state, [domain], key)) !== undefined
  return { database, blobs, registry, removed, layer, image, isKnown, clean: (now: number) => cleanUp(parts, now) }
}

const OLD = NOW - LIFETIME - 1

test('one that nobody used goes, with layers that only it had, an hour later', async (t) => {
  const { blobs, registry, removed, layer, image, isKnown, clean } = await setUp(t)
  const [own, shared] = [await layer('own'), await layer('shared')]
  const old = await image('old', [own, shared], OLD)
  await image('used', [shared], NOW - LIFETIME + 1)
  await image('tools', [await layer('of tools')], 0, GLOBAL)
  await clean(NOW)
  assert.deepEqual([await isKnown('old'), await isKnown('used'), await isKnown('tools', GLOBAL)], [false, true, true])
  assert.deepEqual(removed, [`registry/meadow/rep_1@${old.plain}`])
  for (const digest of [old.digest, old.plain]) assert.equal(await registry.get('meadow/rep_1', digest), undefined)
  // A build may have found it a moment ago.
  assert.notEqual(await blobs.size(own), undefined)
  await clean(NOW + HOUR)
  assert.notEqual(await blobs.size(own), undefined)
  await clean(NOW + HOUR + 1)
  assert.equal(await blobs.size(own), undefined)
  assert.notEqual(await blobs.size(shared), undefined)
})

test('a layer that is wanted again within the hour stays', async (t) => {
  const { blobs, layer, image, clean } = await setUp(t)
  const [listed, written, both] = [await layer('listed'), await layer('written'), await layer('neither')]
  await image('old', [listed, written, both], OLD)
  await clean(NOW)
  await image('late', [listed], NOW)
  await layer('written')
  await clean(NOW + 2 * HOUR)
  assert.deepEqual(
    await Promise.all([listed, written, both].map(async (digest) => (await blobs.size(digest)) !== undefined)),
    [true, true, false],
  )
})

test('a manifest that another image of the domain has stays', async (t) => {
  const { database, registry, layer, image, isKnown, clean } = await setUp(t)
  const { digest, plain } = await image('old', [await layer('same')], OLD)
  const row = await findImage(database.state, ['rep_1'], 'old')
  await database.write(({ db }) => saveImage(db, { ...(row as ImageRow), key: 'other lock', used: NOW }))
  await clean(NOW)
  assert.deepEqual([await isKnown('old'), await isKnown('other lock')], [false, true])
  for (const each of [digest, plain]) assert.notEqual(await registry.get('meadow/rep_1', each), undefined)
})

test('blobs that are no layers of ours stay', async (t) => {
  const { blobs, image, clean } = await setUp(t)
  const { digest } = await blobs.put(Buffer.from('a layer of the base'))
  await image('old', [digest], OLD)
  await clean(NOW)
  await clean(NOW + 2 * HOUR)
  assert.notEqual(await blobs.size(digest), undefined)
})
