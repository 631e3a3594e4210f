import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { baseImage } from '../support/bases.ts'
import { startRegistry } from '../support/debian-registry.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** Container images as interpreters, from a registry of their own, with real builds by the engine. */

const exec = promisify(execFile)
let folder: string
let registry: Awaited<ReturnType<typeof startRegistry>>
let service: ServiceUnderTest
let project: Project

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registry-'))
  registry = await startRegistry(folder)
  service = await ServiceUnderTest.start({ MEADOW_BASE_REGISTRY: `http://${registry.host}` })
  project = await service.project('octo/harbour')
})
after(async () => {
  await service?.close()
  await registry?.stop()
  await rm(folder, { recursive: true })
  // A tag that moved leaves its first image without a name.
  const { stdout } = await exec('docker', ['images', '--quiet', '--no-trunc', `${registry.host}/team/app`])
  const images = [...new Set(stdout.split('\n').filter(Boolean))]
  if (images.length > 0) await exec('docker', ['image', 'rm', '--force', ...images])
})

/** Builds an image on a stand-in and pushes it. Its name, as users name it. */
async function push(tag: string, lines: string[], from?: string): Promise<string> {
  const name = `${registry.host}/team/app:${tag}`
  const dockerfile = [`FROM ${from ?? (await baseImage('3.11'))}`, ...lines].join('\n')
  const options = { env: { ...process.env, DOCKER_BUILDKIT: '0' } }
  const child = execFile('docker', ['build', '-q', '--network', 'none', '-t', name, '-'], options)
  child.stdin?.end(dockerfile)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`docker build ended with ${code}`))))
  await promise
  await exec('docker', ['push', '-q', name])
  return `docker://${name}`
}

/** The same image, its config as that of one for another machine. Its name, as users name it. */
async function pushedFor(architecture: string, tag: string): Promise<string> {
  const at = join(folder, tag)
  const name = `docker://${registry.host}/team/app:${tag}`
  const plain = await push(`${tag}-not-yet`, ['COPY . /nothing-to-run'], 'scratch')
  await exec('skopeo', ['copy', '--src-tls-verify=false', plain, `dir:${at}`])
  const manifest = JSON.parse(await readFile(join(at, 'manifest.json'), 'utf8'))
  const config = JSON.parse(await readFile(join(at, manifest.config.digest.slice(7)), 'utf8'))
  const bytes = Buffer.from(JSON.stringify({ ...config, architecture }))
  const digest = createHash('sha256').update(bytes).digest('hex')
  await writeFile(join(at, digest), bytes)
  manifest.config = { ...manifest.config, digest: `sha256:${digest}`, size: bytes.length }
  await writeFile(join(at, 'manifest.json'), JSON.stringify(manifest))
  await exec('skopeo', ['copy', '--dest-tls-verify=false', `dir:${at}`, name])
  return name
}

/** A package without files but its module and metadata, as a line of a Dockerfile. */
function installed(folder: string, name: string, version: string): string {
  const info = `${folder}/${name}-${version}.dist-info`
  const metadata = `Metadata-Version: 2.1\\nName: ${name}\\nVersion: ${version}\\n`
  return `RUN mkdir -p ${info} && printf '${metadata}' > ${info}/METADATA && echo 'version = "${version}"' > ${folder}/${name}.py`
}

const SITE = '/usr/local/lib/python3.11/dist-packages'
/** Where `pip install --user` puts what the image's user installs. */
const OWN_SITE = '/home/gardener/.local/lib/python3.11/site-packages'

test('code runs in an image as it is: its user, variables and Python, without its entry point', async () => {
  const image = await push('plain', [
    'RUN useradd --create-home --uid 4321 gardener',
    installed(SITE, 'orchid', '1.5+team'),
    installed('/srv/app', 'tulip', '2'),
    'ENV SEASON=spring PYTHONPATH=/srv/app',
    'WORKDIR /srv',
    'USER gardener',
    installed(OWN_SITE, 'violet', '3'),
    'ENTRYPOINT ["/bin/false"]',
    'HEALTHCHECK CMD /bin/false',
  ])
  const files = {
    'sow.py': 'import orchid, tulip, violet\ndef bed():\n    return [orchid.version, tulip.version, violet.version]\n',
  }
  const commit = await project.commit(files)
  await project.push(commit)
  const command =
    'echo $SEASON $(id -u) $PWD $(printenv VIRTUAL_ENV || echo none); python3 -c "import sow; print(*sow.bed())"; touch ok'
  const first = await project.ran(commit, { interpreter: image, command })
  assert.equal(first.run.outcome, 'ok', first.stderr.toString() + first.run.message)
  assert.equal(first.stdout.toString(), 'spring 4321 /workspace none\n1.5+team 2 3\n')
  assert.equal(first.cache?.verdict, 'miss')
  assert.deepEqual(first.cache?.unpinned, [image])

  const called = await project.ran(commit, { interpreter: image, function: 'sow:bed' })
  assert.deepEqual(called.result, ['1.5+team', '2', '3'], called.stderr.toString())

  const wish = { interpreter: image, 'additional-software': ['tree'] }
  const software = await project.ran(commit, { ...wish, command: 'id -u; tree --version' })
  assert.equal(software.run.outcome, 'ok', software.run.message)
  assert.match(software.stdout.toString(), /^4321\ntree v/)

  const { stdout } = await exec('skopeo', ['inspect', '--tls-verify=false', '--format', '{{.Digest}}', image])
  const pinned = `${image.slice(0, -':plain'.length)}@${stdout.trim()}`
  const next = await project.commit({ ...files, 'other.py': '' })
  const byTag = await project.ran(next, { interpreter: image, command: 'ls other.py' })
  assert.equal(byTag.cache?.verdict, 'hit')
  const byDigest = await project.ran(next, { interpreter: pinned, command: 'ls other.py' })
  assert.equal(byDigest.run.outcome, 'ok', byDigest.run.message)
  assert.deepEqual(byDigest.cache?.unpinned, [])

  // A tag that moved means the new image from the next build on, not for what was built.
  await push('plain', ['ENV SEASON=autumn'])
  const old = await project.ran(next, { interpreter: image, command: 'echo $SEASON' })
  assert.equal(old.stdout.toString(), 'spring\n')
  const last = await project.commit({ ...files, 'last.py': '' })
  const moved = await project.ran(last, { interpreter: image, command: 'echo $SEASON' })
  assert.equal(moved.stdout.toString(), 'autumn\n')
})

const IMPORTS =
  'python -c "import sys, orchid, idna, markupsafe; print(sys.prefix, orchid.version, idna.version, markupsafe.__file__)"'

/** What `IMPORTS` prints, the image's own packages seen from an environment on top of it. */
const SEEN = /^\/opt\/env 1\.5\+team 2\.8 \/opt\/env\/lib\/python3\.11\/site-packages\/markupsafe\//

test('requirements lie on top of what an image has, which limits them', async () => {
  const image = await push('packages', [
    'RUN useradd --create-home --uid 4321 gardener',
    installed(SITE, 'orchid', '1.5+team'),
    'USER gardener',
    installed(OWN_SITE, 'idna', '2.8'),
  ])
  const commit = await project.commit({ 'requirements.txt': 'orchid\nidna\nmarkupsafe==3.0.2\n' })
  await project.push(commit)
  const run = await project.ran(commit, { 'base-image': image, command: IMPORTS })
  assert.equal(run.run.outcome, 'ok', run.stderr.toString() + run.run.message)
  assert.match(run.stdout.toString(), SEEN)
  assert.deepEqual(
    run.cache?.packages.map(({ name }) => name),
    ['markupsafe'],
  )

  const asked = await project.commit({ 'requirements.txt': 'orchid\nidna>=3\n' })
  const build = await project.built(await project.build(asked, { 'base-image': image }))
  assert.equal(build.state, 'failed')
  assert.match(build.message ?? '', /^requirements\.txt:2: [\s\S]*you require idna>=3 and idna==2\.8/)
  assert.match(
    build.hint ?? '',
    /^Loosen one of these .* Packages of the base image stay in the version that it has\.$/,
  )
  const python = await project.built(await project.build(asked, { 'base-image': image, 'python-version': '3.12' }))
  const said = `python-version: asks for Python 3.12, and the base-image ${image} has 3.11.`
  assert.ok(python.message?.startsWith(said), python.message)
})

test("requirements lie on top of an image's own virtual environment", async () => {
  const image = await push('venv', [
    'RUN python3 -m venv --without-pip /app/venv',
    installed('/app/venv/lib/python3.11/site-packages', 'orchid', '1.5+team'),
    installed('/app/venv/lib/python3.11/site-packages', 'idna', '2.8'),
    'ENV PATH=/app/venv/bin:/usr/bin:/bin',
  ])
  const commit = await project.commit({ 'requirements.txt': 'orchid\nmarkupsafe==3.0.2\n' })
  await project.push(commit)
  const run = await project.ran(commit, { 'base-image': image, command: IMPORTS })
  assert.equal(run.run.outcome, 'ok', run.stderr.toString() + run.run.message)
  assert.match(run.stdout.toString(), SEEN)
  const plain = await project.ran(commit, {
    interpreter: image,
    command: 'python3 -c "import orchid, sys; print(sys.prefix)"',
  })
  assert.equal(plain.stdout.toString(), '/app/venv\n')
})

test('what is no image to run in is refused by name', async () => {
  const commit = await project.commit({ 'requirements.txt': 'six\n' })
  const failure = async (interpreter: string, more: object = {}) => {
    const build = await project.built(await project.build(commit, { interpreter, ...more }))
    assert.equal(build.state, 'failed')
    return `${build.message} ${build.hint}`
  }
  const team = `docker://${registry.host}/team`
  assert.match(await failure(`${team}/app:none`), /container image docker:.*app:none: 127\S+ does not have it/)
  assert.match(await failure(`${team}/app@sha256:12`), /is no image name/)
  assert.match(await failure('docker://127.0.0.1:1/x:1'), /127\.0\.0\.1:1 is a private address/)
  assert.match(await failure('docker://registry.invalid/x:1'), /registry\.invalid does not answer/)
  const old = await push('old-python', [
    `RUN echo "import sys; sys.version_info = (3, 7, 9); sys.modules['importlib.metadata'] = None; exec(sys.argv[1])" > /old.py`,
    `RUN printf '#!/bin/sh\\nexec /usr/bin/python3 -I /old.py "$3"\\n' > /usr/local/bin/python3`,
    'RUN chmod +x /usr/local/bin/python3',
  ])
  assert.match(
    await failure(old),
    /^docker:\S+old-python: its python3 is Python 3\.7\.9, and 3\.8 or later is needed Name an image with python3, 3\.8/,
  )
  const arm = await pushedFor('arm64', 'arm')
  assert.match(await failure(arm), /^container image docker:\S+arm: it is for linux\/arm64, not linux\/amd64/)
  const none = await push('no-python', ['COPY . /nothing-to-run'], 'scratch')
  assert.match(await failure(none), /no Python inside/)
  assert.match(await failure(none, { 'base-image': 'python:3.11-slim-bookworm' }), /base-image: the interpreter is/)
  assert.match(await failure(none, { 'without-groups': ['dev'] }), /without-groups: a container image has none/)
  assert.match(await failure(none, { 'python-version': '3.11' }), /python-version: a container image has its own/)
})
