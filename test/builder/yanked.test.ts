import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, before, test } from 'node:test'
import type { Builder } from '../../service/builder/builder.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import { type Artifact, DEFAULT_INDEX } from '../../service/interpreter/lock.ts'
import { codeFiles } from '../support/code-files.ts'
import { type IndexServer, indexServer } from '../support/index-server.ts'
import { makeOldSdist } from '../support/package-index.ts'
import { ASK, resolving } from '../support/resolving.ts'
import { pipLock, uvExport } from '../support/uv-lock.ts'
import { makeWheel, wheelFilename } from '../support/wheels.ts'

/** What of a lock was yanked since: real locks and a real index, and one that says what a test needs. */

const { parts, base, probe } = await resolving('pylock.toml')
let builder: Builder
let server: IndexServer
const ended: (() => unknown)[] = []
before(async () => {
  const files = [wheel('acme'), wheel('brick'), wheel('tile'), makeOldSdist('old', 'raise SystemExit("never run")\n')]
  server = await indexServer({ after: (end: never) => ended.push(end) } as never, { ours: files, theirs: files })
  // Containers of other classes do not reach this machine.
  builder = parts.another({ indexUrl: server.url('ours'), network: 'open' })
})
after(async () => {
  for (const end of ended) await end()
})

function wheel(name: string) {
  const spec = { name, version: '1.0' }
  return { filename: wheelFilename(spec), content: makeWheel(spec) }
}

/** A package of one of the indexes. */
function artifact(name: string, more: Partial<Artifact> = {}): Artifact {
  const filename = wheelFilename({ name, version: '1.0' })
  const url = `${server.url('ours').replace(/simple$/, 'files/')}${filename}`
  return { name, version: '1.0', kind: 'wheel', filename, url, index: server.url('ours'), ...more }
}

const asked = async (...artifacts: Artifact[]) => await builder.yanked(artifacts, probe, ASK)

/** The artifacts of a lock that a tool made. */
async function locked(pylock: string): Promise<Artifact[]> {
  const spec = await loadSpec(codeFiles({ 'pylock.toml': pylock }), { interpreter: 'pylock.toml' })
  return (await parts.builder.resolve(base, spec, probe, ASK)).artifacts
}

test('locks of pip, which name no index, and of uv, which name it', async () => {
  const dependencies = ['attrs==21.1.0', 'idna==3.7']
  const pyproject = `[project]\nname = "wood"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ${JSON.stringify(dependencies)}\n`
  const byPip = await locked(await pipLock(parts, { 'requirements.txt': dependencies.join('\n') }))
  const byUv = await locked(await uvExport(parts, { 'pyproject.toml': pyproject }, ''))
  assert.deepEqual([byPip[0]?.index, typeof byUv[0]?.index], [undefined, 'string'])
  for (const artifacts of [byPip, byUv]) {
    const { yanked, unknown } = await parts.builder.yanked(artifacts, probe, ASK)
    assert.deepEqual(unknown, [])
    assert.equal(yanked.length, 1, JSON.stringify(yanked))
    assert.equal(yanked[0]?.name, 'attrs')
    assert.match(yanked[0]?.text ?? '', /^`attrs==21\.1\.0` is yanked \(reason: "Installable/)
  }
})

test('each index is asked for its own, a source is not built for it, and a reason is one line', async () => {
  const reason = `broken\u001b[31m \u0007${'x'.repeat(500)}`
  server.yanked.set(wheelFilename({ name: 'acme', version: '1.0' }), reason)
  server.yanked.set('old-1.0.tar.gz', '')
  server.asked.length = 0
  const old = artifact('old', { kind: 'sdist', filename: 'old-1.0.tar.gz', index: server.url('theirs') })
  // The other index is at the host of the service's own.
  const { yanked, unknown } = await asked(artifact('acme'), artifact('brick'), old)
  assert.deepEqual(unknown, [])
  assert.deepEqual(yanked.map(({ name }) => name).sort(), ['acme', 'old'])
  const text = yanked.find(({ name }) => name === 'acme')?.text ?? ''
  assert.match(text, /^`acme==1\.0` is yanked \(reason: "broken x+$/)
  assert.equal(text.length, 300)
  assert.deepEqual(server.asked.sort(), ['ours/acme', 'ours/brick', 'theirs/old'])
})

test('what an index has no more does not hide the others', async () => {
  server.yanked.set(wheelFilename({ name: 'tile', version: '1.0' }), 'wrong colour')
  const gone = [artifact('brick', { version: '0.9' }), artifact('stone')]
  const { yanked, unknown } = await asked(gone[0] as Artifact, artifact('tile'), gone[1] as Artifact)
  assert.deepEqual(yanked, [{ name: 'tile', text: '`tile==1.0` is yanked (reason: "wrong colour")' }])
  assert.deepEqual(
    unknown.map(({ names }) => names),
    [['brick'], ['stone']],
  )
  assert.match(unknown[0]?.why ?? '', /no version of brick==0\.9/)
  assert.match(unknown[1]?.why ?? '', /stone was not found in the package registry/)
})

test('an index that is not to be asked is not, and no name or version becomes an option', async () => {
  server.asked.length = 0
  const { yanked, unknown } = await asked(
    artifact('acme', { index: 'http://10.9.8.7/simple' }),
    artifact('brick', { index: 'https://10.9.8.7/simple' }),
    artifact('tile', { index: '--find-links=/etc' }),
    artifact('acme', { version: '1.0\n-r /etc/passwd' }),
    artifact('acme\n-r /etc/passwd'),
  )
  assert.deepEqual(yanked, [])
  assert.deepEqual(unknown, [
    { names: ['acme'], why: 'the index at 10.9.8.7 is not one of https:' },
    { names: ['brick'], why: 'the index at 10.9.8.7 is private' },
    { names: ['tile'], why: 'what the lock has as its index is no URL' },
  ])
  assert.deepEqual(server.asked, [])
})

test('what comes from no index is not asked for', async () => {
  server.asked.length = 0
  const { index: _, ...url } = artifact('acme')
  const { url: _url, ...path } = artifact('brick', { path: 'wheels/brick.whl' })
  assert.deepEqual(await asked(url, path, artifact('tile', { kind: 'directory' })), { yanked: [], unknown: [] })
  assert.deepEqual(server.asked, [])
})

test('an index that never answers holds nobody for long, and the resolver goes on', async () => {
  const silent = createServer(() => {}).listen(0, '0.0.0.0')
  await once(silent, 'listening')
  ended.push(() => silent.close())
  const { hostname } = new URL(server.url('ours'))
  const index = `http://${hostname}:${(silent.address() as AddressInfo).port}/simple`
  const waiting = parts.another({ indexUrl: index, network: 'open' })
  const { yanked, unknown } = await waiting.yanked(
    [artifact('acme', { index }), artifact('tile', { index })],
    probe,
    ASK,
  )
  assert.deepEqual(yanked, [])
  assert.deepEqual(unknown.length, 1)
  assert.deepEqual(unknown[0]?.names, ['acme', 'tile'])
  assert.match(unknown[0]?.why ?? '', /^there was no answer within 10 seconds$/)
  // In the same container.
  const other = artifact('idna', { version: '3.7', index: DEFAULT_INDEX })
  assert.deepEqual(await waiting.yanked([other], probe, ASK), { yanked: [], unknown: [] })
})
