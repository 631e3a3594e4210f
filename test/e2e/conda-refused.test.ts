import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import type { Build } from '../../common/contract.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { makeWheel } from '../support/wheels.ts'

/** What is wrong with conda environments is said by file and line, with the fix; and what is done otherwise than by conda. */

let channel: CondaChannel
let service: ServiceUnderTest
let project: Project
before(async () => {
  channel = await condaChannel()
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_CONDA_CHANNELS: `test=${channel.url}` })
  project = await service.project('octo/refused')
})
after(async () => {
  await service?.close()
  await channel?.[Symbol.asyncDispose]()
})
beforeEach(() => {
  channel.asked.length = 0
  channel.replace.clear()
})

async function build(files: Record<string, string>, interpreter = 'auto'): Promise<Build> {
  const commit = await project.commit(files)
  return await project.built(await project.build(commit, { interpreter }))
}

const PYTHON = ['linux-64/python-3.11.7-h1a2b3c4_0.conda', 'linux-64/pylibs-12-0.conda']
const TOOL = 'linux-64/pfxtool-1.0-h0_1.tar.bz2'

async function list(paths: string[], hash: 'md5' | 'sha256' = 'sha256'): Promise<string> {
  return ['# platform: linux-64', '@EXPLICIT', ...(await channel.lines(paths, hash)), ''].join('\n')
}

const yaml = (...lines: string[]) => `channels: [test]\ndependencies:\n${lines.map((line) => `  - ${line}\n`).join('')}`
const packages = () => channel.asked.filter((path) => /\.(?:conda|tar\.bz2)$/.test(path))

for (const hash of ['sha256', 'md5'] as const)
  test(`another ${hash} than the list has: package, file and line`, async () => {
    const text = (await list([...PYTHON, TOOL], hash)).replace(/[0-9a-f]{8}\n$/, '00000000\n')
    const { state, message = '', hint } = await build({ 'conda-linux-64.lock': text })
    assert.equal(state, 'failed')
    assert.match(
      message,
      new RegExp(`^conda-linux-64\\.lock:5: pfxtool: .*pfxtool-1\\.0.* has ${hash} [0-9a-f]+, not `),
    )
    assert.match(hint ?? '', /Lock it anew only if you know why it changed/)
  })

/** As conda-lock writes it: a package of the channel, and one of pip. */
async function locked(change: (text: string) => string): Promise<Build> {
  const wheel = makeWheel({ name: 'shop', version: '1.0', files: { 'shop.py': 'X = 1\n' } })
  channel.replace.set('wheels/shop-1.0-py3-none-any.whl', { status: 200, body: wheel })
  const sha256 = createHash('sha256').update(wheel).digest('hex')
  const url = new URL('/wheels/shop-1.0-py3-none-any.whl', channel.url).href
  const row = (name: string, manager: string, hash: string, url: string) =>
    `- {name: ${name}, version: '1.0', manager: ${manager}, platform: linux-64, url: '${url}', hash: {${hash}}}\n`
  const rows = (await channel.lines([...PYTHON, TOOL])).map((line) => {
    const [url = '', hash] = line.split('#')
    return row(/([a-z]+)-[^/]*$/.exec(url)?.[1] ?? '', 'conda', `sha256: ${hash}`, url)
  })
  const text = ['version: 1\npackage:\n', ...rows, row('shop', 'pip', `sha256: ${sha256}`, url)].join('')
  return await build({ 'conda-lock.yml': change(text) })
}

const OTHER = (name: string) => (text: string) =>
  text.replace(new RegExp(`(${name}.*sha256: \\w+)\\w{8}\\}`), '$100000000}')
const DAMAGED: [
  what: string,
  name: string,
  line: number,
  change: (text: string) => string,
  why: RegExp,
  hint: RegExp,
][] = [
  [
    'other bytes',
    'pfxtool',
    5,
    OTHER('pfxtool'),
    /has sha256 \w+, not \w+0{8}$/,
    /^The file was changed after the lock/,
  ],
  ['other bytes', 'shop', 6, OTHER('shop'), /has sha256 \w+, not \w+0{8}$/, /^The file was changed after the lock/],
  ['gone', 'pfxtool', 5, (text) => text.replace('1.0-h0_1', '1.0-h0_9'), /: the server answered 404$/, /still there/],
  ['gone', 'shop', 6, (text) => text.replace('shop-1.0', 'shop-1.1'), /: the server answered 404$/, /still there/],
]
for (const [what, name, line, change, why, expected] of DAMAGED)
  test(`conda-lock.yml: a package is refused by its line: ${what}, ${name}`, async () => {
    const { state, message = '', hint = '' } = await locked(change)
    assert.equal(state, 'failed')
    assert.ok(message.startsWith(`conda-lock.yml:${line}: ${name}: `), message)
    assert.match(message, why)
    assert.match(hint, expected)
  })

test('bytes of a solved package that are not those that the channel promised', async () => {
  const { size = 0 } = (await channel.packages('noarch'))['leaf3-1.0-py_0.tar.bz2'] ?? {}
  channel.replace.set('channel/noarch/leaf3-1.0-py_0.tar.bz2', { status: 200, body: Buffer.alloc(size) })
  const { message = '' } = await build({ 'environment.yml': yaml('python', 'leaf3') })
  assert.match(message, /^environment\.yml:4: leaf3: .*leaf3-1\.0-py_0\.tar\.bz2 has sha256 [0-9a-f]+, not /)
})

test('a package that is gone: file and line, whether its hash was known or not', async () => {
  const gone = (text: string) => text.replace('pfxtool-1.0-h0_1', 'pfxtool-1.0-h0_9')
  for (const text of [await list([...PYTHON, TOOL]), (await list([...PYTHON, TOOL])).replace(/#\w+$/gm, '')]) {
    const { message = '', hint } = await build({ 'conda-linux-64.lock': gone(text) })
    assert.match(message, /^conda-linux-64\.lock:5: pfxtool: .* could not be fetched: the server answered 404$/)
    assert.match(hint ?? '', /still there/)
  }
})

test('two packages own a path: it is said which one counts, and that one is in the run', async () => {
  const commit = await project.commit({ 'environment.yml': yaml('python', 'clash-a', 'clash-b') })
  const { run, stdout, told } = await project.ran(commit, { command: 'cat /opt/env/share/clash', interpreter: 'auto' })
  assert.equal(run.outcome, 'ok', run.message)
  assert.equal(stdout.toString(), 'b\n')
  const details = told.map(({ event }) => (event.kind === 'stage' ? event.detail : undefined))
  assert.ok(
    details.some((detail) => /opt\/env\/share\/clash of clash-b hides clash-a's/.test(detail ?? '')),
    details.join('\n'),
  )
})

test('a post-link script is not run, and that is said for each image', async () => {
  for (const beside of ['leaf1', 'leaf2']) {
    const commit = await project.commit({ 'environment.yml': yaml('python', 'linkscript', beside) })
    const { run, stdout, notes } = await project.ran(commit, {
      command: 'test ! -e /opt/env/ran && echo not run',
      interpreter: 'auto',
    })
    assert.equal(run.outcome, 'ok', run.message)
    assert.equal(stdout.toString(), 'not run\n')
    assert.ok(notes.includes('linkscript: its post-link script is not run; what it would set up is not there'))
  }
})

test('an explicit list of another platform: nothing is asked of anybody', async () => {
  const text = (await list([...PYTHON, TOOL])).replaceAll('linux-64', 'osx-arm64')
  const { message = '', hint } = await build({ 'spec.txt': text }, 'spec.txt')
  assert.match(
    message,
    /^spec\.txt:3: it was made for osx-arm64 and can't be installed on linux-64, .*: python 3\.11\.7, pylibs 12, pfxtool 1\.0$/,
  )
  assert.match(hint ?? '', /conda list --explicit.*environment-linux\.yml/)
  assert.deepEqual(channel.asked, [])
})

test('an export of another platform: no package is fetched', async () => {
  const text = yaml('python=3.11.7=h1a2b3c4_0', 'maconly=1.0=hmac_0', 'pfxtool=1.0=hmac_1')
  const { message = '', hint } = await build({ 'environment.yml': text })
  assert.match(
    message,
    /^environment\.yml:4: it was made for osx-arm64 and can't be installed on linux-64, .*: maconly, pfxtool$/,
  )
  assert.match(hint ?? '', /commit it as environment-linux\.yml: it is taken wherever it lies beside environment\.yml/)
  assert.deepEqual(packages(), [])
})

test('a package that another platform has and this one has not', async () => {
  const { message = '', hint } = await build({ 'environment.yml': yaml('python', 'greet', 'maconly >=1') })
  assert.equal(
    message,
    'environment.yml:5: linux-64 has none of these, which other platforms have: maconly >=1 (osx-arm64)',
  )
  assert.match(hint ?? '', /^Take it out, or commit an environment without it as environment-linux\.yml/)
})

test('a package that nobody has', async () => {
  const { message = '', hint } = await build({ 'environment.yml': yaml('python', 'nosuchthing') })
  assert.match(message, /^environment\.yml:4: [\s\S]*nosuchthing/)
  assert.match(hint ?? '', /that the channels have for this platform/)
})

test('a channel that has nothing, is private, or holds a credential, by its line', async () => {
  const of = async (address: string) =>
    await build({ 'environment.yml': `channels:\n  - ${address}\ndependencies: [python]\n` })
  const empty = await of(`${channel.url}/nothing`)
  assert.match(
    empty.message ?? '',
    /^environment\.yml:2: the channel http:\S+\/nothing has nothing at .*: the server answered 404$/,
  )
  assert.match(empty.hint ?? '', /MEADOW_CONDA_CHANNELS/)
  const refused = await of('https://169.254.169.254/conda')
  assert.match(
    refused.message ?? '',
    /^environment\.yml:2: the channel https:\/\/169\.254\.169\.254\/conda: repodata\.json\.zst: https:\S+ leads to a private address$/,
  )
  for (const secret of ['https://me:s3cret@conda.example.com/ours', 'https://conda.example.com/t/s3cret/ours']) {
    const { message = '', hint = '' } = await of(secret)
    assert.match(message, /^environment\.yml:2: the address of this channel holds a user name, password or token$/)
    assert.doesNotMatch(`${message} ${hint}`, /s3cret/)
  }
})

test('a channel that does not answer is asked again, and named meanwhile', async () => {
  const away = `${channel.url}/away`
  for (const file of ['repodata.json.zst', 'repodata.json'])
    for (const subdir of ['linux-64', 'noarch'])
      channel.replace.set(`channel/away/${subdir}/${file}`, { status: 503, body: Buffer.from('') })
  const commit = await project.commit({ 'environment.yml': `channels: [test, ${away}]\ndependencies: [python]\n` })
  const id = await project.build(commit, { interpreter: 'auto' })
  const told = await project.eventsUntil(id, (event) => event.kind === 'note' && /tried again/.test(event.text))
  const note = told.at(-1)?.event
  assert.match(
    note?.kind === 'note' ? note.text : '',
    /^environment\.yml:1: the channel http:\S+\/away: .* could not be fetched: the server answered 503, 6 attempts; it is tried again in \d+ s$/,
  )
  channel.replace.clear()
  const repodata = Buffer.from('{"packages": {}, "packages.conda": {}}')
  channel.replace.set('channel/away/noarch/repodata.json', { status: 200, body: repodata })
  const { state, message } = await project.built(id)
  assert.equal(state, 'finished', message)
})
