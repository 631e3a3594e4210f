import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import type { Build } from '../../common/contract.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** Builds: what is refused and how that is said, and who shares one. */

let service: ServiceUnderTest
let project: Project
/** A lock of idna 3.7 as it really is. */
let lock: string
before(async () => {
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0' })
  project = await service.project('octo/wood')
  const build = await builtOf({ 'requirements.txt': 'idna==3.7\n' })
  assert.equal(build.state, 'finished', build.message)
  lock = await project.text(`/v1/builds/${build.id}/lock`)
  assert.match(lock, /name = "idna"/)
})
after(() => service?.close())

/** Pushes a commit of these files, and gives the build of its environment file. */
async function builtOf(files: Record<string, string>): Promise<Build> {
  const commit = await project.commit(files)
  await project.push(commit)
  return await project.built(await project.build(commit))
}

async function refused(files: Record<string, string>): Promise<{ message: string; hint: string }> {
  const { state, message = '', hint = '', image } = await builtOf(files)
  assert.deepEqual([state, image], ['failed', undefined], message)
  assert.doesNotMatch(hint, /was not expected/)
  return { message, hint }
}

for (const [what, requirements, message, hint] of [
  [
    'a typing error',
    'idna==3.7\nnum py==1\n',
    /^requirements\.txt:2: Couldn't parse requirement[\s\S]*num py==1/,
    /requirement looks like/,
  ],
  [
    'a package that is not there',
    '# all\nmeadow-run-no-such-package\n',
    /^requirements\.txt:2: .*[\s\S]*meadow-run-no-such-package was not found in the package registry/,
    /spelling/,
  ],
  [
    'a version that is not there',
    'idna==999\n',
    /^requirements\.txt:1: [\s\S]*there is no version of idna==999 [\s\S]*requirements are unsatisfiable/,
    /released/,
  ],
  [
    'a conflict',
    'requests==2.32.3\nurllib3==1.20\n',
    /^requirements\.txt:1: [\s\S]*requests==2\.32\.3 depends on urllib3>=1\.21\.1,<3[\s\S]*And because you require urllib3==1\.20, we can conclude that your requirements are unsatisfiable/,
    /Loosen/,
  ],
  [
    'a hash that no file has',
    `idna==3.7 --hash=sha256:${'0'.repeat(64)}\n`,
    /^requirements\.txt:1: idna: no file of version 3\.7 has one of the given hashes/,
    /hashes/,
  ],
  ['a local path', 'idna\n./here\n', /^requirements\.txt:2: \.\/here: there is no such file/, /correct the path/],
] as const) {
  test(`${what} is explained, with its file and line`, async () => {
    const said = await refused({ 'requirements.txt': requirements })
    assert.match(said.message, message)
    assert.match(said.hint, hint)
  })
}

test('an included file that is not there, and one that leads outside', async () => {
  const missing = await refused({ 'requirements.txt': 'idna\n-r more/dev.txt\n' })
  assert.match(missing.message, /^requirements\.txt:2: .*more\/dev\.txt/)
  const outside = await refused({ 'requirements.txt': '-r ../../etc/passwd\n' })
  assert.match(outside.message, /^requirements\.txt:1: .*etc\/passwd/)
})

const URL_AND_HASH = /url = "https:[^"]*\.whl"(.*?sha256 = ")[0-9a-f]{64}/
for (const [what, url, why] of [
  ['the metadata address', 'http://169.254.169.254/latest/idna-3.7-py3-none-any.whl', /169\.254\.169\.254/],
  ['the same by https', 'https://169.254.169.254/latest/idna-3.7-py3-none-any.whl', /169\.254\.169\.254.*private/],
  ['the loopback', 'https://127.0.0.1:8470/idna-3.7-py3-none-any.whl', /127\.0\.0\.1:8470.*private/],
  ['the loopback by name', 'https://localhost/idna-3.7-py3-none-any.whl', /localhost.*private/],
  ['the loopback in another spelling', 'https://[::ffff:7f00:1]/idna-3.7-py3-none-any.whl', /private/],
  ['a file', 'file:///etc/idna-3.7-py3-none-any.whl', /file:\/\/\/etc\/idna/],
] as const) {
  test(`a lock whose URL leads to ${what} is refused`, async () => {
    // Of a file that is not known by its hash: what is known is not fetched.
    const said = await refused({
      'pylock.toml': lock.replace(URL_AND_HASH, `url = "${url}"$1${randomBytes(32).toString('hex')}`),
    })
    assert.match(said.message, why)
    assert.match(said.message, /^pylock\.toml:\d+: idna: /)
  })
}

test('a file whose hash differs is named, with both hashes and its line', async () => {
  const [, right = ''] = /url = "https:[^"]*\.whl".*?sha256 = "([0-9a-f]{64})"/.exec(lock) ?? []
  const wrong = right.replace(/^./, right.startsWith('0') ? '1' : '0')
  const said = await refused({ 'pylock.toml': lock.replaceAll(right, wrong) })
  const line = lock.split('\n').findIndex((text) => text.includes('name = "idna"')) + 1
  assert.match(said.message, new RegExp(`^pylock\\.toml:${line}: idna: .*\\.whl has sha256 ${right}, not ${wrong}$`))
})

test('a Python and a base image that nobody offers', async () => {
  const commit = await project.commit({ 'requirements.txt': 'idna==3.7\n' })
  const failed = async (interpreter: object) => await project.built(await project.build(commit, interpreter))
  const python = await failed({ 'python-version': '3.2' })
  assert.match(`${python.message} ${python.hint}`, /python-version: .*3\.2.*3\.11/)
  const base = await failed({ 'base-image': 'evil/python:3.11-slim' })
  assert.match(`${base.message} ${base.hint}`, /evil\/python:3\.11-slim.*MEADOW_BASE_REGISTRY/)
})

test('a package that has only a source distribution is built to a wheel', async () => {
  const commit = await project.commit({ 'requirements.txt': 'docopt==0.6.2\n' })
  const { run, stdout, notes, cache } = await project.ran(commit, {
    args: ['python', '-c', 'import docopt; print(docopt.__version__, docopt.__file__)'],
  })
  assert.equal(run.outcome, 'ok', run.message)
  assert.match(stdout.toString(), /^0\.6\.2 \/opt\/env\/lib\/python3\.11\/site-packages\/docopt\.py/)
  assert.ok(
    notes.some((note) => note.includes('building a wheel of docopt-0.6.2.tar.gz')),
    notes.join('\n'),
  )
  assert.equal(cache?.packages.find(({ name }) => name === 'docopt')?.after, '0.6.2')
})

test('a commit whose push never came is built on demand, told from the first line', async () => {
  const commit = await project.commit({ 'requirements.txt': 'idna==3.6\n' })
  const { run, told, stdout, cache, stages } = await project.ran(commit, {
    command: 'python -c "import importlib.metadata as m; print(m.version(\'idna\'))"',
  })
  assert.deepEqual([run.outcome, stdout.toString()], ['ok', '3.6\n'], run.message)
  const ofBuild = told.filter(({ of }) => of === run.build).map(({ event }) => event)
  assert.deepEqual(
    ofBuild.map(({ seq }) => seq),
    ofBuild.map((_, index) => index + 1),
  )
  assert.ok(ofBuild.at(-1)?.kind === 'state' && stages.join().startsWith('source,base,resolve,packages,layers,pull'))
  // Between the event that names the build and what comes after it.
  const names = told.findIndex(({ event }) => event.kind === 'state' && event.build === run.build)
  assert.deepEqual(
    told.slice(names + 1, names + 1 + ofBuild.length).map(({ of }) => of),
    ofBuild.map(() => run.build),
  )
  assert.equal(cache?.verdict, 'partial')
})

test('whoever asks at the same time shares one build', async () => {
  const commit = await project.commit({ 'requirements.txt': 'idna==3.5\n' })
  const body = project.pushBody(commit)
  const did = await Promise.all([
    project.deliver(body),
    project.deliver(body),
    project.push(commit, { ref: 'refs/heads/other' }),
  ])
  assert.deepEqual(did.toSorted(), ['duplicate', 'prebuild', 'prebuild'])
  const asked = await Promise.all([1, 2, 3].map(() => project.build(commit)))
  const runs = await Promise.all([1, 2].map(() => project.ran(commit, { command: 'true' })))
  const builds = new Set([...asked, ...runs.map(({ run }) => run.build)])
  assert.equal(builds.size, 1, [...builds].join())
  for (const { run } of runs) assert.equal(run.outcome, 'ok', run.message)
  const stored = service.ask<{ id: string }>('select id from builds where request like ?', `%${commit}%`)
  assert.deepEqual(
    stored.map(({ id }) => id),
    [...builds],
  )
})

test('a captured delivery that is sent again under a new id does nothing', async () => {
  const commit = await project.commit({ 'requirements.txt': 'idna==3.4\n' })
  const body = project.pushBody(commit)
  assert.equal(await project.deliver(body), 'prebuild')
  const jobs = () => service.ask("select id from jobs where kind = 'prebuild'").length
  const before = jobs()
  assert.equal(await project.deliver(body), 'duplicate')
  assert.equal(jobs(), before)
})

test("a fork's commit is not the base's, though the host gives it under the base's name", async () => {
  const commit = await project.repository.commit({ 'requirements.txt': 'idna==3.7\n', 'evil.py': 'print("evil")\n' })
  const { run, stdout } = await project.ran(commit, { command: 'python evil.py' })
  assert.deepEqual([run.outcome, stdout.length], ['error', 0])
  assert.match(run.message ?? '', new RegExp(`commit: ${commit} is not in a branch or tag of octo/wood`))
  assert.match(run.hint ?? '', /pull-request/)

  await project.repository.git(['update-ref', 'refs/pull/7/head', commit])
  const other = await project.ran(commit, { command: 'python evil.py', 'pull-request': 8 })
  assert.equal(other.run.outcome, 'error')
  const own = await project.ran(commit, { command: 'python evil.py; ls /sys/class/net', 'pull-request': 7 })
  assert.deepEqual([own.run.outcome, own.stdout.toString()], ['ok', 'evil\nlo\n'], own.run.message)
  assert.equal((await project.ran(commit, { command: 'python evil.py' })).run.outcome, 'error')
})

test('refusals leave nothing behind', async () => {
  for (const folder of ['work', 'blobs/temp']) {
    const left = await readdir(`${service.home.folder}/data/${folder}`)
    assert.deepEqual(
      left.filter((name) => name !== 'builder'),
      [],
      folder,
    )
  }
})
