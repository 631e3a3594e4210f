import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Digest } from '../../service/blobs/blobs.ts'
import {
  buildById,
  environmentBuild,
  failBuild,
  finishBuild,
  openBuild,
  saveEnvironment,
  startBuild,
} from '../../service/database/builds.ts'
import { bundleOf, grant, granted, saveBundle } from '../../service/database/code.ts'
import { append, lastSeq, readEvents } from '../../service/database/events.ts'
import {
  findFragments,
  findImage,
  findLock,
  latestImage,
  saveFragment,
  saveImage,
  saveLock,
} from '../../service/database/known.ts'
import { heartbeat, readyStandby, removeStandby, saveStandby, standbysOfNode } from '../../service/database/nodes.ts'
import { findManifest, listTags, putManifest, putTag } from '../../service/database/registry.ts'
import {
  createRun,
  finishRun,
  listRuns,
  requestCancel,
  runById,
  unfinishedRuns,
  updateRun,
} from '../../service/database/runs.ts'
import { dropExpired, saveToken, tokenByHash } from '../../service/database/tokens.ts'
import { temporaryDatabase } from '../support/database.ts'

const digest = (hex: string): Digest => `sha256:${hex.repeat(64)}`

test('askers of one key in one domain share a build until it ends; an end is final', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const ask = (domain: string, key: string) => write(({ db }) => openBuild(db, { domain, key, request: '{}', now: 1 }))
  const { build, created } = await ask('rep', 'k')
  assert.equal(created, true)
  assert.deepEqual(await ask('rep', 'k'), { build, created: false })
  assert.equal((await ask('rep/pull/1', 'k')).created, true)
  assert.equal(await write(({ db }) => startBuild(db, build.id)), true)
  assert.deepEqual(await ask('rep', 'k'), { build: { ...build, state: 'building' }, created: false })
  const finish = () => write(({ db }) => finishBuild(db, { id: build.id, image: digest('a'), cache: '{}', now: 2 }))
  assert.equal(await finish(), true)
  assert.equal(await finish(), false)
  const fail = await write(({ db }) => failBuild(db, { id: build.id, message: 'm', hint: 'h', now: 3 }))
  assert.equal(fail, false)
  assert.equal(await write(({ db }) => startBuild(db, build.id)), false)
  assert.deepEqual(await buildById(state, build.id), {
    ...build,
    state: 'finished',
    image: digest('a'),
    cache: '{}',
    finished: 2,
  })
  assert.equal((await ask('rep', 'k')).created, true)
})

test('a commit leads to a build in the nearest domain, the one said last', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const open = (domain: string, key: string) =>
    write(async ({ db }) => (await openBuild(db, { domain, key, request: '{}', now: 1 })).build)
  const [first, second, forks] = [await open('rep', 'a'), await open('rep', 'b'), await open('rep/pull/1', 'a')]
  const save = (domain: string, build: string) =>
    write(({ db }) => saveEnvironment(db, { domain, commit_id: 'c', request: 'q', build }))
  const found = async (...domains: string[]) => (await environmentBuild(state, domains, 'c', 'q'))?.id
  assert.equal(await found('rep/pull/1', 'rep'), undefined)
  await save('rep', first.id)
  assert.equal(await found('rep/pull/1', 'rep'), first.id)
  await save('rep', second.id)
  assert.equal(await found('rep'), second.id)
  await save('rep/pull/1', forks.id)
  assert.equal(await found('rep/pull/1', 'rep'), forks.id)
  assert.equal(await found('rep'), second.id)
})

test('a run lives, is cancelled and ends once', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const run = await write(({ db }) =>
    createRun(db, { domain: 'rep', repository: 'rep', commit: 'c', request: '{}', now: 1 }),
  )
  assert.deepEqual(await runById(state, run.id), run)
  assert.equal(await write(({ db }) => updateRun(db, run.id, { state: 'running', node: 'n', started: 5 })), true)
  assert.equal(await write(({ db }) => requestCancel(db, run.id)), true)
  assert.equal(await write(({ db }) => updateRun(db, run.id, {})), true)
  const end = { outcome: 'failed', exitCode: 3, now: 9 } as const
  assert.equal(await write(({ db }) => finishRun(db, run.id, end)), true)
  assert.equal(await write(({ db }) => finishRun(db, run.id, { outcome: 'ok', now: 10 })), false)
  assert.equal(await write(({ db }) => updateRun(db, run.id, { state: 'running' })), false)
  assert.equal(await write(({ db }) => updateRun(db, run.id, {})), false)
  assert.equal(await write(({ db }) => updateRun(db, 'run_none', {})), false)
  assert.equal(await write(({ db }) => requestCancel(db, run.id)), false)
  const ended = await runById(state, run.id)
  assert.deepEqual([ended?.state, ended?.outcome, ended?.exit_code, ended?.cancel], ['finished', 'failed', 3, 1])
  assert.deepEqual(await unfinishedRuns(state), [])
})

test('runs are listed newest first, page by page, of one repository', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const make = (repository: string) =>
    write(
      async ({ db }) =>
        (await createRun(db, { domain: repository, repository, commit: 'c', request: '{}', now: 1 })).id,
    )
  const [a, b, , c] = [await make('one'), await make('one'), await make('two'), await make('one')]
  const list = async (limit: number, before?: string) =>
    (await listRuns(state, { repository: 'one', limit, before })).map(({ id }) => id)
  assert.deepEqual(await list(2), [c, b])
  assert.deepEqual(await list(2, b), [a])
})

test('bundles and grants are looked up in the domains that may be read', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const bundle = { domain: 'rep', commit_id: 'c', digest: digest('a'), size: 1, created: 1 }
  const forks = { ...bundle, domain: 'rep/pull/1', digest: digest('b') }
  await write(({ db }) => saveBundle(db, bundle))
  await write(({ db }) => saveBundle(db, { ...bundle, digest: digest('c') }))
  await write(({ db }) => saveBundle(db, forks))
  assert.deepEqual(await bundleOf(state, ['rep'], 'c'), bundle)
  assert.deepEqual(await bundleOf(state, ['rep/pull/1', 'rep'], 'c'), forks)
  assert.deepEqual(await bundleOf(state, ['rep/pull/2', 'rep'], 'c'), bundle)
  assert.equal(await bundleOf(state, ['other'], 'c'), undefined)
  await write(({ db }) => grant(db, { domain: 'rep/pull/1', digests: [digest('a')], now: 1 }))
  await write(({ db }) => grant(db, { domain: 'rep/pull/1', digests: [digest('a')], now: 2 }))
  assert.equal(await granted(state, ['rep/pull/1', 'rep'], digest('a')), true)
  assert.equal(await granted(state, ['rep'], digest('a')), false)
})

test('locks, fragments and images: nearest domain, the first one saved stays, the newest of a lineage', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const lock = { domain: 'rep', key: 'k', lock: digest('a'), created: 1 }
  await write(({ db }) => saveLock(db, lock))
  await write(({ db }) => saveLock(db, { ...lock, lock: digest('b') }))
  assert.deepEqual(await findLock(state, ['rep/pull/1', 'rep'], 'k'), lock)
  assert.equal(await findLock(state, ['global'], 'k'), undefined)

  const fragment = { domain: 'global', key: 'f', manifest: digest('a'), created: 1 }
  const own = { ...fragment, domain: 'rep', manifest: digest('b') }
  const other = { ...fragment, key: 'g' }
  for (const each of [own, fragment, other]) await write(({ db }) => saveFragment(db, each))
  const found = await findFragments(state, ['global', 'rep'], ['f', 'g', 'h'])
  assert.deepEqual(Object.fromEntries(found), { f: fragment, g: other })
  assert.deepEqual((await findFragments(state, ['rep', 'global'], ['f'])).get('f'), own)

  const image = {
    domain: 'rep',
    key: '1',
    digest: digest('a'),
    plain: digest('d'),
    layout: digest('b'),
    lock: digest('c'),
    lineage: 'l',
    kin: 'k',
    used: 0,
    branch: 'main',
    user: '0:0',
    created: 1,
  }
  const newer = { ...image, key: '2', created: 2 }
  await write(({ db }) => saveImage(db, newer))
  await write(({ db }) => saveImage(db, image))
  assert.deepEqual(await findImage(state, ['rep'], '1'), image)
  assert.deepEqual(await latestImage(state, ['rep/pull/1', 'rep'], { lineage: 'l', branch: 'main' }), newer)
  const next = { ...image, key: '3', branch: 'next', created: 0 }
  await write(({ db }) => saveImage(db, next))
  assert.deepEqual(await latestImage(state, ['rep'], { lineage: 'l', branch: 'next' }), next)
  assert.deepEqual(await latestImage(state, ['rep'], { lineage: 'l', branch: 'new' }), newer)
  const kin = { ...image, key: '4', lineage: 'other', created: 3 }
  await write(({ db }) => saveImage(db, kin))
  assert.deepEqual(await latestImage(state, ['rep'], { kin: 'k', branch: 'main' }), kin)
  const forks = { ...image, domain: 'rep/pull/1', created: 0 }
  await write(({ db }) => saveImage(db, forks))
  assert.deepEqual(await latestImage(state, ['rep/pull/1', 'rep'], { lineage: 'l', branch: 'main' }), forks)
})

test('a token is good until it expires', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const token = { hash: 'h', repository: 'rep', name: 'ci', workflow_run: null, expires: 10 }
  await write(({ db }) => saveToken(db, token))
  assert.deepEqual(await tokenByHash(state, 'h', 9), token)
  assert.equal(await tokenByHash(state, 'h', 10), undefined)
  assert.equal(await write(({ db }) => dropExpired(db, 9)), 0)
  assert.equal(await write(({ db }) => dropExpired(db, 10)), 1)
})

test('a standby is known from its preparation to its removal', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const standby = {
    container: 'c',
    node: 'n',
    key: 'k',
    state: 'preparing',
    memory: 1,
    created: 1,
    expires: 10,
  } as const
  await write(({ db }) => saveStandby(db, standby))
  assert.equal(await write(({ db }) => readyStandby(db, 'c')), true)
  assert.equal(await write(({ db }) => readyStandby(db, 'c')), false)
  assert.deepEqual(await standbysOfNode(state, 'n'), [{ ...standby, state: 'ready' }])
  assert.deepEqual(await standbysOfNode(state, 'm'), [])
  await write(({ db }) => removeStandby(db, 'c'))
  await write(({ db }) => removeStandby(db, 'c'))
  assert.deepEqual(await standbysOfNode(state, 'n'), [])
})

test('a node is known from its heartbeat', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  await write(({ db }) => heartbeat(db, { id: 'n', heartbeat: 1, cpus: 2, memory: 3 }))
  await write(({ db }) => heartbeat(db, { id: 'n', heartbeat: 5, cpus: 1.5, memory: 2 }))
  const nodes = await state.selectFrom('nodes').selectAll().execute()
  assert.deepEqual(nodes, [{ id: 'n', heartbeat: 5, cpus: 1.5, memory: 2 }])
})

test('the registry finds manifests by digest and by tag, and lists tags', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const media_type = 'application/vnd.oci.image.manifest.v1+json'
  for (const [repository, hex] of [
    ['b', 'a'],
    ['a', 'a'],
    ['a', 'b'],
  ] as const) {
    await write(({ db }) => putManifest(db, { repository, digest: digest(hex), media_type }))
  }
  await write(({ db }) => putTag(db, { repository: 'a', tag: '2', digest: digest('a') }))
  await write(({ db }) => putTag(db, { repository: 'a', tag: '1', digest: digest('a') }))
  await write(({ db }) => putTag(db, { repository: 'a', tag: '1', digest: digest('b') }))
  const b = { repository: 'a', digest: digest('b'), media_type }
  assert.deepEqual(await findManifest(state, 'a', '1'), b)
  assert.deepEqual(await findManifest(state, 'a', digest('b')), b)
  assert.equal(await findManifest(state, 'b', digest('b')), undefined)
  assert.equal(await findManifest(state, 'b', '1'), undefined)
  assert.deepEqual(await listTags(state, 'a'), ['1', '2'])
})

test('events are read behind a number, in order', async (t) => {
  const { events } = await temporaryDatabase(t)
  assert.equal(await lastSeq(events, 'run_1'), 0)
  await append(
    events,
    [1, 2, 3].map((seq) => ({ stream: 'run_1', seq, event: `${seq}` })),
  )
  await append(events, [{ stream: 'run_2', seq: 1, event: 'x' }])
  assert.deepEqual(
    (await readEvents(events, 'run_1', 1, 10)).map(({ seq }) => seq),
    [2, 3],
  )
  assert.equal((await readEvents(events, 'run_1', 0, 2)).length, 2)
  assert.equal(await lastSeq(events, 'run_1'), 3)
  // A batch is stored whole or not at all.
  const again = [4, 3].map((seq) => ({ stream: 'run_1', seq, event: `${seq}` }))
  await assert.rejects(append(events, again), /UNIQUE/)
  assert.equal(await lastSeq(events, 'run_1'), 3)
})
