import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { InterpreterRequest } from '../../common/contract.ts'
import type { Builder } from '../../service/builder/builder.ts'
import { createFetcher } from '../../service/fetch/fetcher.ts'
import { condaFragment } from '../../service/image/conda-fragment.ts'
import { condaArtifact, parseCondaUrl } from '../../service/interpreter/conda.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Artifact } from '../../service/interpreter/lock.ts'
import type { ResolutionFailed } from '../../service/interpreter/resolution.ts'
import { CondaRepodata } from '../../service/jobs/environment/conda-repodata.ts'
import { KeyedQueue } from '../../service/jobs/worker/keyed-queue.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import { exampleProbe } from '../support/probe.ts'

let channel: CondaChannel
let parts: TestBuilder
let builder: Builder
let folder: string
before(async () => {
  channel = await condaChannel()
  folder = await mkdtemp(join(tmpdir(), 'meadow-conda-'))
  parts = await testBuilder()
  const repodata = async (url: string, subdir: string) => {
    const response = await fetch(`${url}/${subdir}/repodata.json`)
    return response.ok ? await parts.blobs.put(await response.bytes()) : { none: `it answered ${response.status}` }
  }
  builder = parts.another({ conda: { repodata, channels: { test: channel.url, gone: `${channel.url}/gone` } } })
})
after(async () => {
  await parts?.[Symbol.asyncDispose]()
  await channel?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function lock(dependencies: string[], channels = '[test]', asked = builder) {
  const text = `channels: ${channels}\ndependencies:\n${dependencies.map((each) => `  - ${each}\n`).join('')}`
  const request = InterpreterRequest.parse({ interpreter: 'environment.yml' })
  const spec = await loadSpec(codeFiles({ 'environment.yml': text }), request)
  return await asked.resolve(await testBase('3.11'), spec, exampleProbe, { ...STEP, domain: 'rep_conda' })
}

test('a solution is exact, hashed, and named by the real channel', async () => {
  const { artifacts, text, unpinned } = await lock(['python=3.11', 'greetplus', 'test::greet=2.0'])
  assert.deepEqual(
    artifacts.map(({ name, version }) => `${name} ${version}`),
    ['greet 2.0', 'greetplus 0.1', 'pfxtool 1.0', 'pip 24.0', 'pylibs 12', 'python 3.11.7'],
  )
  const known = await channel.packages('noarch')
  assert.equal(artifacts[0]?.url, `${channel.url}/noarch/greet-2.0-pyh0_0.tar.bz2`)
  assert.equal(artifacts[0]?.sha256, known['greet-2.0-pyh0_0.tar.bz2']?.sha256)
  assert.match(text, /^# platform: linux-64\n@EXPLICIT\nhttp/)
  assert.deepEqual(unpinned, ['greetplus', 'python'], 'greet=2.0 says the version that was taken')
})

const TOGETHER = /^Ask for versions that go together and that the channels have for this platform\.$/
const REFUSED: [what: string, dependencies: string[], message: RegExp, hint?: RegExp][] = [
  [
    'a package that no channel has',
    ['python', 'nosuchthing'],
    /^environment\.yml:4: .*: No candidates were found for nosuchthing \*/,
  ],
  [
    'a version that there is not',
    ['python', 'greet=9'],
    /^environment\.yml:4: .*: No candidates were found for greet 9\./,
  ],
  [
    'two that do not go together',
    ['python', 'greet=2.0', 'greet=2.1'],
    /^environment\.yml:4: .*: The following packages are incompatible\n[\s\S]*greet 2\.\d, which conflicts with/,
  ],
  [
    'a graphics card',
    ['python', 'needcuda'],
    /^environment\.yml:4: [\s\S]*needcuda 1 would require[\s\S]*__cuda >=12, for which no candidates were found/,
  ],
  ['a spec that is none', ['python', '"greet ==="'], /^environment\.yml:4: unable to parse version spec: ===$/],
  [
    'an environment without python',
    ['pylibs'],
    /^environment\.yml: the environment has no python$/,
    /^Add python to it/,
  ],
  [
    'an export of another platform',
    ['python=3.11.7=h1a2b3c4_0', 'maconly=1.0=hmac_0', 'pfxtool=1.0=hmac_1'],
    /^environment\.yml:4: it was made for osx-arm64 and can't be installed on linux-64, .*: maconly, pfxtool$/,
    /environment-linux\.yml/,
  ],
]
for (const [what, dependencies, message, hint = TOGETHER] of REFUSED)
  test(`refused, by line: ${what}`, async () => {
    await assert.rejects(lock(dependencies), { name: 'ResolutionFailed', message, hint })
  })

test('refused: a channel that has nothing', async () => {
  await assert.rejects(lock(['python'], '[gone]'), {
    message: /^environment\.yml:1: the channel gone has nothing at http:\S+\/gone\/linux-64: it answered 404$/,
    hint: /MEADOW_CONDA_CHANNELS/,
  })
})

test('refused, by line and in time: a channel whose host there is not, one that does not listen', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const silent = `127.0.0.1:${(server.address() as AddressInfo).port}`
  server.close()
  const fetcher = createFetcher({ allowedHosts: [silent], folder, limits: { attempts: 2, backoff: 1 } })
  const repodata = new CondaRepodata(fetcher, parts.blobs, new KeyedQueue())
  const asking = parts.another({ conda: { repodata: (...of) => repodata.of(...of), channels: {} } })
  for (const [address, why] of [
    [
      'https://conda.invalid/ours',
      /conda\.invalid\/ours\/\S+ could not be fetched: .*(?:ENOTFOUND|EAI_AGAIN).*, 2 attempts$/,
    ],
    [`http://${silent}/ours`, /could not be fetched: connect ECONNREFUSED 127\.0\.0\.1:\d+.*, 2 attempts$/],
  ] as const)
    await assert.rejects(lock(['python'], `\n  - ${address}`, asking), (error: ResolutionFailed) => {
      assert.deepEqual([error.name, error.file, error.line], ['ResolutionFailed', 'environment.yml', 2])
      assert.ok(
        error.message.startsWith(`environment.yml:2: the channel ${address}: repodata.json.zst: `),
        error.message,
      )
      assert.match(error.message, why)
      assert.match(error.hint, /^Check that the service reaches this host/)
      assert.equal(error.retryable, true)
      return true
    })
  await fetcher.close()
})

async function link(path: string, change: (bytes: Buffer) => Buffer = (bytes) => bytes) {
  const artifactAt = (at: string): Artifact => {
    const url = `${channel.url}/${at}`
    const parsed = parseCondaUrl(url)
    assert.ok(parsed)
    return condaArtifact(url, parsed)
  }
  const bytes = change(Buffer.from(await (await fetch(`${channel.url}/${path}`)).arrayBuffer()))
  const file = join(folder, 'archive')
  await writeFile(file, bytes)
  const python = artifactAt('linux-64/python-3.11.7-h1a2b3c4_0.conda')
  const request = { artifact: artifactAt(path), file, size: bytes.length, python, subdir: 'linux-64' }
  return await builder.link(request, { ...STEP, domain: 'rep_conda' }, async (files) => {
    return await condaFragment('it', files, parts.blobs)
  })
}

test('a package is linked by itself, the same every time', async () => {
  const fragment = await link('noarch/greet-2.0-pyh0_0.tar.bz2')
  const paths = fragment.entries.map(({ path, mode }) => `${path.replace('opt/env/', '')} ${mode.toString(8)}`)
  assert.deepEqual(paths.slice(0, 4), [
    'bin/greet 755',
    'bin/greet-script 755',
    'conda-meta/greet-2.0-pyh0_0.json 644',
    'lib/python3.11/site-packages/greet-2.0.dist-info/INSTALLER 644',
  ])
  assert.equal((await link('noarch/greet-2.0-pyh0_0.tar.bz2')).digest, fragment.digest)
})

test('a post-link script is there, and not run', async () => {
  const { entries } = await link('linux-64/linkscript-1-0.tar.bz2')
  const paths = entries.map(({ path }) => path)
  assert.deepEqual(paths, ['opt/env/bin/.linkscript-post-link.sh', 'opt/env/conda-meta/linkscript-1-0.json'])
})

test('a damaged archive is refused by its name, and the next one is linked', async () => {
  await assert.rejects(
    link('linux-64/pfxtool-1.0-h0_1.tar.bz2', (bytes) => bytes.subarray(0, 1000)),
    { name: 'LinkFailed', message: /^pfxtool-1\.0-h0_1\.tar\.bz2 can't be linked/ },
  )
  assert.equal((await link('linux-64/clash-a-1-0.tar.bz2')).entries.length, 2)
})
