import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { normalizeName } from '../../common/package-name.ts'
import { BUILDER_TOOLS } from '../../service/builder/bootstrap.ts'
import { parseRecord } from '../../service/image/record.ts'
import { INTERPRETER } from '../../service/image/scripts.ts'
import { parseWheelName } from '../../service/image/wheel-name.ts'
import { contentsByPython, seenByPython, sha256, transcode } from '../support/transcode.ts'

/** Native code and entry points, much data, pure, data files, scripts, headers, namespace packages, odd names. */
const PACKAGES = [
  'numpy',
  'pandas',
  'six',
  'requests',
  'jupyterlab-widgets',
  'jmespath',
  'greenlet',
  'jaraco.functools',
  'zope.interface',
  'argcomplete',
]

/** What installers write about the installation itself, in dist-info; we write INSTALLER alone, with our name. */
const ABOUT_INSTALLING = ['INSTALLER', 'REQUESTED', 'direct_url.json']

/** Who else installs wheels: what it alone writes in dist-info, what it leaves in the environment, and how. */
const INSTALLERS = [
  { name: 'pip', writes: [], leaves: [], install: installByPip },
  // When a wheel of this machine was changed last; and that nobody else installs at the same time.
  { name: 'uv', writes: ['uv_cache.json'], leaves: ['opt/env/.lock'], install: installByUv },
]

interface Installed {
  mode: number
  content: Buffer
}

const folder = await mkdtemp(join(tmpdir(), 'real-wheels-'))
const wheels = join(folder, 'wheels')
let python = ''

before(async () => {
  const version = 'import sys; print("%d.%d" % sys.version_info[:2])'
  python = (await run('python3', '-c', version)).trim()
  await run('python3', '-m', 'pip', 'download', '-q', '--no-deps', '--only-binary', ':all:', '-d', wheels, ...PACKAGES)
})
after(() => rm(folder, { recursive: true }))

for (const installer of INSTALLERS) {
  describe(installer.name, () => {
    const about = [...ABOUT_INSTALLING, ...installer.writes]
    /** All that it installs of all wheels; each test takes its own out. */
    let theirs: Map<string, Installed>
    before(async () => {
      theirs = await installedBy(installer.install)
    })

    for (const name of PACKAGES) test(`${name} is what it installs`, () => compare(name, theirs, about))

    test('it installs nothing else', () => {
      assert.deepEqual([...theirs.keys()], installer.leaves)
    })
  })
}

/** Path, mode and content of every file; takes from `theirs` what is the same. */
async function compare(name: string, theirs: Map<string, Installed>, about: string[]): Promise<void> {
  const { ours, modes, distInfo } = await ourFiles(name)
  for (const one of about) theirs.delete(distInfo + one)
  assert.equal(ours.get(`${distInfo}INSTALLER`)?.toString(), 'meadow\n')
  ours.delete(`${distInfo}INSTALLER`)

  const generated = new Set<string>()
  let theirRecord = ''
  for (const [path, our] of ours) {
    const their = theirs.get(path)
    assert.ok(their, `${path} is not installed`)
    theirs.delete(path)
    assert.equal(modes.get(path)?.mode.toString(8), their.mode.toString(8), path)
    if (path === `${distInfo}RECORD`) {
      theirRecord = their.content.toString()
    } else if (path.startsWith('opt/env/bin/') && shebang(our) === `#!${INTERPRETER}`) {
      generated.add(path)
      assert.match(shebang(their.content), /^#!.*(?:python|\/sh$)/, path)
      // A launcher's own text is the installer's; a script differs in its first line only.
      if (!/^ *sys\.exit\(\w+(\.\w+)*\(\)\)$/m.test(our.toString())) assert.equal(body(our), body(their.content), path)
    } else {
      assert.equal(sha256(our), sha256(their.content), path)
    }
  }

  const site = distInfo.replace(/[^/]+\/$/, '')
  const rows = (record: string) =>
    parseRecord(record)
      .filter(({ path }) => !about.some((one) => join(site, path) === distInfo + one))
      .map((row) => (generated.has(join(site, row.path)) ? { path: row.path } : row))
      .sort((a, b) => (a.path < b.path ? -1 : 1))
  assert.deepEqual(rows(String(ours.get(`${distInfo}RECORD`))), rows(theirRecord))
}

/** What the transcoder makes of a wheel, read by Python. */
async function ourFiles(name: string) {
  const filename = (await readdir(wheels)).find((one) => parseWheelName(one).name === normalizeName(name))
  assert.ok(filename, `no wheel of ${name} was downloaded`)
  const { members, entries } = await transcode(await readFile(join(wheels, filename)), filename, python)
  const metadata = entries.find(({ path }) => path.endsWith('.dist-info/METADATA'))?.path ?? ''
  return {
    ours: contentsByPython(members),
    modes: seenByPython(members),
    distInfo: metadata.replace(/METADATA$/, ''),
  }
}

/** What an installer adds to a virtual environment, by path as if that were /opt/env. */
async function installedBy(install: (environment: string, files: string[]) => Promise<unknown>) {
  const environment = await mkdtemp(join(folder, 'environment-'))
  await run('python3', '-m', 'venv', '--without-pip', environment)
  const before = await tree(environment)
  await install(
    environment,
    (await readdir(wheels)).map((one) => join(wheels, one)),
  )
  const added = await tree(environment)
  for (const path of before.keys()) added.delete(path)
  return added
}

async function installByPip(environment: string, files: string[]): Promise<void> {
  const pip = ['-m', 'pip', '--python', join(environment, 'bin/python'), 'install', '-q']
  await run('python3', ...pip, '--no-deps', '--no-compile', '--no-index', ...files)
}

/** By the uv that resolves, as the builder's own list has it. */
async function installByUv(environment: string, files: string[]): Promise<void> {
  const [uv = ''] = /^uv==[\d.]+/m.exec(BUILDER_TOOLS.requirements) ?? []
  const tools = join(folder, 'tools')
  await run('python3', '-m', 'pip', 'install', '-q', '--no-deps', '--target', tools, uv)
  const options = ['--no-deps', '--offline', '--no-config', '--no-cache', '--link-mode', 'copy']
  await run(
    join(tools, 'bin/uv'),
    'pip',
    'install',
    '-q',
    '--python',
    join(environment, 'bin/python'),
    ...options,
    ...files,
  )
}

/** All files below a folder; links are for the interpreter alone. */
async function tree(folder: string): Promise<Map<string, Installed>> {
  const files = new Map<string, Installed>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = `opt/env/${relative(folder, path)}`
    if (entry.isFile()) files.set(name, { mode: (await stat(path)).mode & 0o7777, content: await readFile(path) })
    else if (entry.isSymbolicLink()) files.set(name, { mode: 0o777, content: Buffer.from(await readlink(path)) })
  }
  return files
}

function shebang(script: Buffer): string {
  return script.toString('latin1').split('\n', 1)[0] ?? ''
}

function body(script: Buffer): string {
  return script.toString('latin1').split('\n').slice(1).join('\n')
}

async function run(command: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_ROOT_USER_ACTION: 'ignore' }
  const { stdout } = await promisify(execFile)(command, args, { env, timeout: 180_000 })
  return stdout
}
