import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { anonymousUrl } from '../../client/deployment/conda-environment.ts'
import { freeze } from '../../client/deployment/freeze.ts'
import { type LocalEnvironment, localEnvironment } from '../../client/deployment/local-environment.ts'
import { askInterpreter, type LocalInterpreter } from '../../client/deployment/local-interpreter.ts'
import type { Digest } from '../../service/blobs/blobs.ts'
import { bundleOfRoot, mirrorSetUp } from '../support/mirror.ts'
import { temporaryFolder } from '../support/repositories.ts'

const textOf = ({ files }: LocalEnvironment) => files[0]?.content.toString()

async function write(folder: string, files: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), content)
  }
}

/** Installs a package in a site-packages folder as pip leaves it. */
async function install(site: string, name: string, version: string, more: Record<string, string> = {}, requires = '') {
  const info = `${name}-${version}.dist-info`
  const files: Record<string, string> = {
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${requires}\n`,
    [`${info}/INSTALLER`]: 'pip\n',
  }
  for (const [path, content] of Object.entries(more)) files[path.replace('INFO', info)] = content
  files[`${info}/RECORD`] = Object.keys(files)
    .map((path) => `${path},,\n`)
    .join('')
  await write(site, files)
}

async function siteOf(venv: string): Promise<string> {
  return join(venv, 'lib', (await readdir(join(venv, 'lib')))[0] ?? '', 'site-packages')
}

test('a virtual environment is frozen: versions, direct addresses without credentials', async (t) => {
  const { venv, project, env } = await mirrorSetUp(t)
  const site = await siteOf(venv)
  await install(site, 'plain', '1.0')
  await install(site, 'pip', '99')
  const direct = (url: object) => ({ 'INFO/direct_url.json': JSON.stringify(url) })
  await install(
    site,
    'vcs',
    '2',
    direct({
      url: 'https://me:pw@git.example/x.git',
      vcs_info: { vcs: 'git', commit_id: 'c0ffee' },
      subdirectory: 'py',
    }),
  )
  await install(
    site,
    'archive',
    '3',
    direct({ url: 'https://u@files.example/a-3.whl', archive_info: { hash: 'sha256=abc' } }),
  )
  const python = await askInterpreter('auto', { folder: project, project, env }, () => {})
  const found = await localEnvironment('auto', project, python)
  assert.equal(
    textOf(found),
    'archive @ https://files.example/a-3.whl#sha256=abc\nplain==1.0\nvcs @ git+https://git.example/x.git@c0ffee#subdirectory=py\n',
  )
  assert.equal(found.pythonVersion, python?.version)
  assert.deepEqual(
    await localEnvironment(
      `local-python:${venv}`,
      project,
      await askInterpreter(`local-python:${venv}`, { folder: project, project, env: { PATH: env.PATH } }, () => {}),
    ).then(textOf),
    textOf(found),
  )
})

test('leftovers of installs are nothing; packages with damaged notes are named, and stop nothing', async (t) => {
  const { venv, prepare, api, said } = await mirrorSetUp(t)
  const site = await siteOf(venv)
  const about = (name: string, version = '') => `Metadata-Version: 2.1\nName: ${name}\n${version}\n`
  const direct = { url: 'https://files.example/w-1.zip', archive_info: { hash: 'md5' } }
  await write(site, {
    '~umpy-1.26.4.dist-info/METADATA': about('numpy', 'Version: 1.26.4'),
    'numpy-2.1.0.dist-info/METADATA': about('numpy', 'Version: 2.1.0'),
    '~ld-1.dist-info/METADATA': about('old', 'Version: 1'),
    'x-1.dist-info/METADATA': about('x'),
    'w-1.dist-info/METADATA': about('w', 'Version: 1'),
    'w-1.dist-info/direct_url.json': JSON.stringify(direct),
  })
  const asked = await prepare()
  const file = asked['environment-files']?.['.meadow/local-requirements.txt'] as Digest
  assert.equal(await text(await api.blobs.open(file)), 'numpy==2.1.0\n')
  const named = (name: string) =>
    `${name} is left out: nothing in ${site} says which version it is, and from where. Install it again.`
  assert.deepEqual(said.slice(1, 3), [named('w'), named('x')])
})

test('of archives on sys.path, eggs are frozen or named, others mirrored; what lies in one is named', async (t) => {
  const { venv, folder, env, prepare, api, id, said } = await mirrorSetUp(t)
  const site = await siteOf(venv)
  await write(folder, {
    'EGG-INFO/PKG-INFO': 'Metadata-Version: 2.1\nName: zipped\nVersion: 3\n',
    'zipped.py': '',
    [`${site.slice(folder.length)}/e.pth`]: './zipped-3-py3.egg\n./bare.egg\n./lib.zip\n',
  })
  const pack = async (archive: string, ...files: string[]) =>
    await promisify(execFile)('python3', ['-m', 'zipfile', '-c', join(site, archive), ...files], { cwd: folder })
  await pack('zipped-3-py3.egg', 'EGG-INFO', 'zipped.py')
  await pack('bare.egg', 'zipped.py')
  await pack('lib.zip', 'zipped.py')
  const inside = join(site, 'lib.zip/inner')
  const asked = await prepare({}, { env: { ...env, PYTHONPATH: inside } })
  const file = asked['environment-files']?.['.meadow/local-requirements.txt'] as Digest
  assert.equal(await text(await api.blobs.open(file)), 'zipped==3\n')
  assert.deepEqual(Object.keys((await bundleOfRoot(api, id, asked.mirror?.roots[1])).files), ['lib.zip'])
  assert.deepEqual(asked.mirror?.['sys-path'], [{ root: 0 }, { root: 1, path: 'lib.zip', behind: true }])
  assert.deepEqual(said.filter((line) => line.includes(' is left out: ')).sort(), [
    `${inside} is left out: it is on sys.path, and lies inside of an archive. Unpack that to have it.`,
    `bare.egg is left out: nothing in ${site} says which version it is, and from where. Install it again.`,
  ])
})

test('an editable install is mirrored with its source, and says that it is installed', async (t) => {
  const { api, id, venv, folder, prepare } = await mirrorSetUp(t)
  const site = await siteOf(venv)
  const source = join(folder, 'lib')
  await write(source, { 'src/lib/__init__.py': 'l', 'setup.py': 's' })
  const finder = `MAPPING: dict[str, str] = {'lib': '${join(source, 'src', 'lib')}'}\n`
  await install(site, 'lib', '1.0', {
    'INFO/direct_url.json': JSON.stringify({ url: `file://${source}`, dir_info: { editable: true } }),
    '__editable___lib_1_0_finder.py': finder,
  })
  const { mirror } = await prepare()
  const roots = await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files))
  assert.deepEqual(roots[1], { 'lib/__init__.py': 'l' })
  assert.deepEqual(Object.keys(roots[2] ?? {}).sort(), [
    'lib-1.0.dist-info/INSTALLER',
    'lib-1.0.dist-info/METADATA',
    'lib-1.0.dist-info/direct_url.json',
  ])
  // What lies in site-packages before what an import hook finds.
  assert.deepEqual(mirror?.['sys-path'], [{ root: 0 }, { root: 2, behind: true }, { root: 1, behind: true }])
})

test('of an editable install with an egg-link comes what says that it is installed, ignored or not', async (t) => {
  const { api, id, venv, project, folder, prepare } = await mirrorSetUp(t)
  const info = (name: string, version: string) => ({
    [`${name}.egg-info/PKG-INFO`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    [`${name}.egg-info/entry_points.txt`]: `[console_scripts]\n${name} = ${name}:main\n`,
  })
  await write(project, { '.gitignore': '*.egg-info/\n', 'setup.py': '', 'my_shop.py': '', ...info('my_shop', '3') })
  await write(folder, { 'lib/src/lib.py': '', 'lib/src/.gitignore': '*.egg-info/\n' })
  await write(join(folder, 'lib/src'), { ...info('lib', '1'), ...info('other', '2') })
  await write(await siteOf(venv), {
    'easy-install.pth': `${project}\n${folder}/lib/src\n`,
    'my-shop.egg-link': `${project}\n.`,
    'lib.egg-link': `${folder}/lib/src\n../`,
    'gone.egg-link': `${folder}/gone\n.`,
  })
  const { mirror } = await prepare()
  const roots = await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files))
  const [first, second, ...rest] = roots.map((files) => Object.keys(files).sort())
  assert.deepEqual(
    [first, second],
    [
      ['.gitignore', 'my_shop.py', 'setup.py'],
      ['.gitignore', 'lib.py'],
    ],
  )
  const said = (name: string) => [`${name}.egg-info/PKG-INFO`, `${name}.egg-info/entry_points.txt`]
  assert.deepEqual(rest.sort(), [said('lib'), said('my_shop')])
  const behind = [2, 3, 1].map((root) => ({ root, behind: true }))
  assert.deepEqual(mirror?.['sys-path'], [{ root: 0 }, ...behind])
})

test('an install from the disk is mirrored with its modules, byte code that has no source among them', async (t) => {
  const { api, id, venv, folder, prepare } = await mirrorSetUp(t)
  const about = JSON.stringify({ url: `file://${folder}/sold.whl`, archive_info: {} })
  const more = { 'sold/__init__.pyc': 's', 'open.py': 'o', '__pycache__/open.cpython-311.pyc': '-', 'sold.pth': '-' }
  await install(await siteOf(venv), 'sold', '1', { 'INFO/direct_url.json': about, ...more })
  const { mirror } = await prepare()
  const { files } = await bundleOfRoot(api, id, mirror?.roots[1])
  const modules = Object.keys(files).filter((path) => !path.startsWith('sold-1.dist-info/'))
  assert.deepEqual(modules, ['open.py', 'sold/__init__.pyc'])
})

test('an editable install with a hook of another kind is named', async (t) => {
  const { venv, folder, project, prepare, said } = await mirrorSetUp(t)
  const site = await siteOf(venv)
  const about = JSON.stringify({ url: `file://${project}`, dir_info: { editable: true } })
  const hook = 'import _built_editable_loader'
  await install(site, 'built', '1.0', { 'INFO/direct_url.json': about, 'built-editable.pth': `${hook}\n` })
  await write(folder, { 'plain/plain.py': '' })
  await install(site, 'plain', '1.0', { 'INFO/direct_url.json': about, '_plain.pth': `${folder}/plain\n` })
  await write(site, { '_built_editable_loader.py': '' })
  const { mirror } = await prepare()
  assert.equal(mirror?.roots.length, 3)
  assert.deepEqual(
    said.filter((line) => line.includes('hook')),
    [
      `built is found by an import hook of a kind that is not known (${hook}): it is mirrored as far as it lies in other folders of sys.path.`,
    ],
  )
})

test("a project's lock is picked up; its .venv is the active Python", async (t) => {
  const { project, prepare, said } = await mirrorSetUp(t)
  await write(project, { 'poetry.lock': 'x', 'pyproject.toml': 'x', 'requirements.txt': 'x' })
  const { interpreter, 'python-version': version } = await prepare()
  assert.equal(interpreter, 'poetry.lock')
  assert.match(version ?? '', /^3\.\d+$/)
  assert.match(said[0] ?? '', /^Environment: poetry\.lock, found in .*project\.$/)
})

test('what was installed in the Python of actions/setup-python is taken; else a file is made for its version', async (t) => {
  const { folder, project, env, prepare, said } = await mirrorSetUp(t)
  const site = join(folder, 'tool/lib/site-packages')
  // A whole Python for this alone would be large.
  await write(folder, { 'tool/bin/python': `#!/bin/sh\nPYTHONPATH=${site} exec python3 -S "$@"\n` })
  await chmod(join(folder, 'tool/bin/python'), 0o755)
  const PATH = `${join(folder, 'tool/bin')}:${env.PATH}`
  const setUp = { env: { ...env, VIRTUAL_ENV: undefined, PATH, pythonLocation: join(folder, 'tool') } }
  for (const name of ['pip', 'setuptools', 'wheel']) await install(site, name, '80')
  const { version } = (await askInterpreter('auto', { folder: project, project, ...setUp }, () => {})) ?? PYTHON
  const auto = async (options: object, mirror = {}) => {
    const { interpreter, 'python-version': version } = await prepare(mirror, options)
    return [interpreter, version]
  }

  await write(project, { 'requirements.txt': 'six\n' })
  assert.deepEqual(await auto(setUp), ['requirements.txt', version])
  assert.match(
    said[0] ?? '',
    /^Environment: requirements\.txt, found in .*; no environment is active; actions\/setup-python set Python 3\.\d+ up\.$/,
  )
  assert.deepEqual(await auto(setUp, { pythonVersion: '3.99' }), ['requirements.txt', '3.99'])
  await install(site, 'six', '1.15.0')
  assert.deepEqual(await auto(setUp), ['.meadow/local-requirements.txt', version])
  assert.match(said[0] ?? '', /^Environment: what was installed in .*, which actions\/setup-python set up\.$/)
  assert.deepEqual(await auto({ env: { ...setUp.env, pythonLocation: undefined } }), ['requirements.txt', undefined])
  assert.deepEqual(await auto({ env: { ...setUp.env, PATH: env.PATH } }), ['requirements.txt', undefined])
  await write(project, { 'uv.lock': '', 'pyproject.toml': '' })
  assert.deepEqual(await auto(setUp), ['uv.lock', version], "a project's lock comes first")
})

test('a file of conda is made for its own Python, whatever actions/setup-python set up', async (t) => {
  const folder = await temporaryFolder(t)
  await write(folder, { 'environment.yml': 'dependencies: [python=3.12]\n' })
  const { interpreter, pythonVersion } = await localEnvironment('auto', folder, { ...PYTHON, setUp: true })
  assert.deepEqual([interpreter, pythonVersion], ['environment.yml', undefined])
})

const PYTHON: LocalInterpreter = {
  ...{ executable: '/env/bin/python', version: '3.11', platform: 'linux', prefix: '', virtual: false, sysPath: [] },
  indexes: { main: null, extra: [] },
  packages: [],
}
const MARKED = { name: 'appnope', version: '1', installer: 'pip', site: '/s', markers: ['sys_platform == "darwin"'] }

/** A conda environment as conda notes it. */
async function condaPrefix(folder: string, subdir: string): Promise<string> {
  const prefix = join(folder, 'envs', 'science')
  const note = (name: string, version: string, build: string, url: string) =>
    JSON.stringify({
      name,
      version,
      build,
      url: `${url}/${name}-${version}-${build}.conda`,
      subdir: url.split('/').at(-1),
      sha256: 'ab',
    })
  await write(prefix, {
    'conda-meta/history': '',
    'conda-meta/numpy-2.json': note('numpy', '2.1.0', 'py311_0', `https://conda.example/t/to-ken/forge/${subdir}`),
    'conda-meta/tz.json': note('tzdata', '2024', 'h0', 'https://u:p@conda.example/forge/noarch'),
  })
  return prefix
}

test('a conda environment is an explicit list, what pip installed included', async (t) => {
  const folder = await temporaryFolder(t)
  const prefix = await condaPrefix(folder, 'linux-64')
  const numpy = { name: 'NumPy', version: '2.1.0', installer: 'pip', site: '/s' }
  const python = { ...PYTHON, prefix, packages: [numpy] }
  const found = await localEnvironment('auto', folder, python)
  assert.equal(found.interpreter, '.meadow/conda-linux-64.lock')
  assert.equal(
    textOf(found),
    [
      '# platform: linux-64',
      '@EXPLICIT',
      'https://conda.example/forge/linux-64/numpy-2.1.0-py311_0.conda#ab',
      'https://conda.example/forge/noarch/tzdata-2024-h0.conda#ab',
      '',
    ].join('\n'),
  )
  const six = { name: 'six', version: '1.16.0', installer: 'pip', site: '/s' }
  const mixed = await localEnvironment('auto', folder, { ...python, packages: [numpy, six] })
  assert.equal(mixed.interpreter, '.meadow/conda-linux-64.lock')
  assert.equal(textOf(mixed), `${textOf(found)}# pip six==1.16.0\n`)
})

test('a conda environment is found by its name: in the list of conda, beside the active one, base, or by its path', async (t) => {
  const folder = await realpath(await temporaryFolder(t))
  const make = async (path: string) => {
    await promisify(execFile)('python3', ['-m', 'venv', '--without-pip', join(folder, path)])
    await write(join(folder, path), { 'conda-meta/history': '' })
  }
  await Promise.all(['conda', 'conda/envs/beside', 'far/listed', 'mamba/envs/small'].map(make))
  await write(folder, { 'home/.conda/environments.txt': `${folder}/gone/old\r\n${folder}/far/listed\n` })
  const { HOME } = process.env
  t.after(() => {
    process.env.HOME = HOME
  })
  process.env.HOME = join(folder, 'home')
  const CONDA = { CONDA_EXE: join(folder, 'conda/bin/conda'), MAMBA_ROOT_PREFIX: join(folder, 'mamba') }
  const ask = async (name: string, env: NodeJS.ProcessEnv = CONDA) => {
    const place = { folder, project: folder, env: { PATH: process.env.PATH, ...env } }
    return (await askInterpreter(`local-conda:${name}`, place, () => {}))?.prefix.slice(folder.length + 1)
  }
  assert.equal(await ask('listed'), 'far/listed')
  assert.equal(await ask('beside'), 'conda/envs/beside')
  assert.equal(await ask('small'), 'mamba/envs/small')
  assert.equal(await ask('base'), 'conda')
  assert.equal(await ask(join(folder, 'mamba/envs/small'), {}), 'mamba/envs/small')
  assert.equal(await ask('beside', { CONDA_PREFIX: join(folder, 'conda/envs/other') }), 'conda/envs/beside')
  await assert.rejects(ask('old'), (error: Error & { hint: string }) => {
    assert.equal(error.message, 'interpreter: no conda environment old was found')
    assert.match(error.hint, /^Known are listed, beside, .*small.*; its path can be given too\.$/)
    return true
  })
  await assert.rejects(ask('base', {}), { hint: 'Known are listed; its path can be given too.' })
})

test('a conda environment of another platform is refused, but for a file for Linux beside it', async (t) => {
  const folder = await temporaryFolder(t)
  const python = { ...PYTHON, prefix: await condaPrefix(folder, 'osx-arm64'), platform: 'darwin' }
  await assert.rejects(localEnvironment('auto', folder, python), (error: Error & { hint: string }) => {
    assert.match(error.message, /is of osx-arm64, and can't be on Linux: numpy 2\.1\.0$/)
    assert.match(error.hint, /environment-linux\.yml/)
    return true
  })
  await write(folder, { 'environment-linux.yml': 'dependencies: [python]\n' })
  await assert.rejects(localEnvironment('local', folder, python), /is of osx-arm64/)
  const found = await localEnvironment('auto', folder, python)
  assert.deepEqual([found.interpreter, found.files], ['environment-linux.yml', []])
  await write(folder, {
    'environment-linux-64.yaml': 'dependencies: [python, {pip: ["-r more.txt"]}]\n',
    'more.txt': '',
  })
  const better = await localEnvironment('auto', folder, python)
  assert.deepEqual(better.wanted, ['environment-linux-64.yaml', 'more.txt'])
})

test('a list of conda for ARM alone is taken; beside one for most machines, the service chooses', async (t) => {
  const folder = await temporaryFolder(t)
  await write(folder, { 'conda-linux-aarch64.lock': '@EXPLICIT\n' })
  assert.equal((await localEnvironment('auto', folder, undefined)).interpreter, 'conda-linux-aarch64.lock')
  await write(folder, { 'conda-linux-64.lock': '@EXPLICIT\n' })
  const { interpreter, wanted } = await localEnvironment('auto', folder, undefined)
  assert.deepEqual([interpreter, wanted], ['conda-linux-64.lock', ['conda-linux-64.lock', 'conda-linux-aarch64.lock']])
})

test('what only another system wants stays away by its marker', () => {
  const python = { ...PYTHON, platform: 'darwin', packages: [MARKED] }
  assert.deepEqual(freeze(python, () => true).requirements, ['appnope==1 ; (sys_platform == "darwin")'])
  assert.deepEqual(freeze({ ...python, platform: 'linux' }, () => true).requirements, ['appnope==1'])
})

test("what the system's own installer brought stays away, and is named", async (t) => {
  const site = '/usr/lib/python3/dist-packages'
  const of = (name: string, more: object) => ({ name, version: '1+ubuntu5', installer: '', site: '/s', ...more })
  const packages = [
    of('python-apt', { site }),
    of('six', { installer: 'debian' }),
    of('damaged', { site, version: '' }),
    of('rpm', { installer: 'rpm', url: 'file:///x' }),
    of('kept', {}),
    of('uv-made', { installer: 'uv' }),
  ]
  const found = await localEnvironment('local', await temporaryFolder(t), { ...PYTHON, packages })
  assert.equal(textOf(found), 'kept==1+ubuntu5\nuv-made==1+ubuntu5\n')
  assert.deepEqual(found.notes, [
    "Packages of the system's own installer are left out, as no index has them: python-apt 1+ubuntu5, six 1+ubuntu5, damaged, rpm 1+ubuntu5.",
  ])
})

test('the indexes of pip and uv go along, but for credentials and for what only this machine reaches', async (t) => {
  const { venv, project, env, folder } = await mirrorSetUp(t)
  await install(await siteOf(venv), 'plain', '1.0')
  const found = async (settings: Record<string, string>) => {
    const asked = { ...env, HOME: folder, PIP_CONFIG_FILE: '', ...settings }
    const python = await askInterpreter('auto', { folder: project, project, env: asked }, () => {})
    const { notes, ...environment } = await localEnvironment('auto', project, python)
    return {
      lines: textOf(environment as LocalEnvironment)
        ?.split('\n')
        .slice(0, -2),
      notes,
    }
  }
  const main = 'https://main.example/simple'
  assert.deepEqual(await found({ PIP_CONFIG_FILE: '/dev/null', PIP_INDEX_URL: main, UV_INDEX: main }), {
    lines: [`--index-url ${main}`],
    notes: [`Package indexes of this machine are asked: ${main}.`],
  })
  await write(folder, {
    '.config/pip/pip.conf':
      '[global]\nindex-url = https://global.example/simple\nextra-index-url =\n  https://one.example\n',
    'venv/pip.conf': '[install]\nindex-url = https://install.example/simple\n',
  })
  assert.deepEqual(await found({}), {
    lines: ['--index-url https://install.example/simple', '--extra-index-url https://one.example'],
    notes: ['Package indexes of this machine are asked: https://install.example/simple, https://one.example.'],
  })
  assert.deepEqual(await found({ PIP_CONFIG_FILE: '/dev/null' }), { lines: [], notes: [] })
  const settings = {
    PIP_INDEX_URL: 'https://me:secret@private.example/simple',
    PIP_EXTRA_INDEX_URL: 'http://localhost:3141/simple https://two.example/simple',
    UV_DEFAULT_INDEX: 'https://uv.example/simple',
    UV_INDEX: `ours=https://three.example/simple ${main}`,
  }
  assert.deepEqual(await found(settings), {
    lines: [
      '--extra-index-url https://three.example/simple',
      `--extra-index-url ${main}`,
      '--extra-index-url https://two.example/simple',
      '--extra-index-url https://uv.example/simple',
    ],
    notes: [
      `Package indexes of this machine are asked: https://three.example/simple, ${main}, https://two.example/simple, https://uv.example/simple.`,
      'The package index https://private.example/simple is left out: it needs credentials, and they stay here.',
      'The package index http://localhost:3141/simple is left out: only this machine reaches it.',
    ],
  })
})

test('credentials are taken out of addresses', () => {
  assert.equal(anonymousUrl('https://u:p@host/x@y'), 'https://host/x@y')
  assert.equal(anonymousUrl('https://host/t/secret/forge/noarch/x.conda'), 'https://host/forge/noarch/x.conda')
  assert.equal(anonymousUrl('https://host/forge/t/x.conda'), 'https://host/forge/t/x.conda')
})

test('a Python that does not run is passed over, and stops nothing that does not need it', async (t) => {
  const { project, folder, env, said, prepare } = await mirrorSetUp(t)
  const program = async (path: string, text: string) => {
    await write(folder, { [path]: text })
    await chmod(join(folder, path), 0o755)
  }
  await program('shims/python', '#!/bin/sh\necho "python: command not found" >&2; exit 127\n')
  await program('more/python3', `#!/bin/sh\nexec ${join(env.VIRTUAL_ENV, 'bin/python')} "$@"\n`)
  await write(project, { 'requirements.txt': '' })
  const found = await prepare({ interpreter: 'local' }, { env: { PATH: `${folder}/shims:${folder}/more:/bin` } })
  assert.match(found['python-version'] ?? '', /^3\./)
  const broken = `interpreter: ${folder}/shims/python can't be asked what it has: python: command not found`
  assert.equal(said[0], `${broken}; it is passed over.`)
  const none = 'No Python was asked here: of sys.path, only the working directory is mirrored.'
  const auto = await prepare({}, { env: { PATH: `${folder}/shims` } })
  assert.equal(auto.interpreter, 'requirements.txt')
  assert.equal(said[2], none)
  await program('active/bin/python', '#!/bin/sh\necho broken >&2; exit 1\n')
  const active = { env: { PATH: '/bin', VIRTUAL_ENV: join(folder, 'active') } }
  const named = await prepare({ interpreter: 'docker://debian:12' }, active)
  assert.deepEqual(named.mirror?.['sys-path'], [{ root: 0 }])
  assert.deepEqual(
    [said[0], said[2]],
    [`interpreter: ${folder}/active/bin/python can't be asked what it has: broken.`, none],
  )
  await assert.rejects(prepare({}, active), (error: Error & { hint: string }) => {
    assert.match(error.message, /active\/bin\/python can't be asked what it has: broken$/)
    assert.match(error.hint, /^Python 3\.8 or later is needed/)
    return true
  })
})

test('modules named like those of the standard library do not disturb the question', async (t) => {
  const { project, folder, env, prepare } = await mirrorSetUp(t)
  const names = ['ast', 'csv', 'email', 'json', 're', 'sysconfig', 'zipfile', 'importlib']
  await write(project, Object.fromEntries(names.map((name) => [`${name}.py`, 'raise SystemExit(name)'])))
  await write(folder, { 'lib/email.py': 'raise SystemExit(4)' })
  const { mirror } = await prepare({}, { env: { ...env, PYTHONPATH: join(folder, 'lib') } })
  assert.deepEqual(mirror?.['sys-path'], [{ root: 0 }, { root: 1 }])
})

test('what is not there is named, with what is', async (t) => {
  const { project, env, folder } = await mirrorSetUp(t)
  const ask = (named: string) => askInterpreter(named, { folder: project, project, env }, () => {})
  await assert.rejects(ask('local-python:/nowhere/python'), /interpreter: there is no \/nowhere\/python/)
  await assert.rejects(ask('local-conda:nothing'), /interpreter: no conda environment nothing was found/)
  await write(folder, { broken: '#!/bin/sh\necho "no module named os" >&2; exit 3\n' })
  await chmod(join(folder, 'broken'), 0o755)
  await assert.rejects(ask(`local-python:${join(folder, 'broken')}`), /can't be asked what it has: no module named os/)
})
