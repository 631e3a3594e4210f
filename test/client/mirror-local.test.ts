import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { Digest } from '../../service/blobs/blobs.ts'
import { bundleOfRoot, mirrorSetUp } from '../support/mirror.ts'

/** Writes files, and lets them be as old as files are that nobody works on. */
async function write(folder: string, files: Record<string, string | Buffer>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), content)
  }
}

test('everything on sys.path that is not the interpreter, in its order', async (t) => {
  const { api, id, folder, project, env, venv, prepare } = await mirrorSetUp(t)
  await write(project, { 'main.py': 'import lib', 'src/inner.py': '1' })
  await write(folder, { 'lib/lib.py': '2', 'other/other.py': '3', 'pth/pth.py': '4' })
  const site = join(venv, 'lib', (await readdir(join(venv, 'lib')))[0] ?? '', 'site-packages')
  await write(site, { 'installed.py': '5', 'more.pth': `${join(folder, 'pth')}\n${join(project, 'src')}\n` })
  const PYTHONPATH = [join(folder, 'other'), join(folder, 'lib')].join(':')
  const { mirror, ...rest } = await prepare({}, { env: { ...env, PYTHONPATH } })
  assert.deepEqual(mirror?.['sys-path'], [
    { root: 0 },
    { root: 1 },
    { root: 2 },
    { root: 3, behind: true },
    { root: 0, path: 'src', behind: true },
  ])
  const files = await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files))
  assert.deepEqual(files, [
    { 'main.py': 'import lib', 'src/inner.py': '1' },
    { 'other.py': '3' },
    { 'lib.py': '2' },
    { 'pth.py': '4' },
  ])
  assert.deepEqual(
    [rest.deployment, rest.interpreter, rest['working-directory']],
    ['mirror_local', '.meadow/local-requirements.txt', undefined],
  )
})

test('nothing is sent a second time; a small change in a large tree sends kilobytes, in few requests', async (t) => {
  const { project, service, said, prepare } = await mirrorSetUp(t)
  const files: Record<string, string> = {}
  for (let n = 0; n < 3000; n++) files[`package${n % 40}/module${n}.py`] = `# ${n}\n${`value = ${n * n}\n`.repeat(300)}`
  await write(project, files)
  await write(project, { 'data.bin': Buffer.from(Array.from({ length: 3_000_000 }, (_, n) => (n * n * 31) >> 7)) })
  await prepare()
  assert.ok(service.bytes > 10_000_000)
  assert.ok(service.requests < 12, `${service.requests} requests`)

  await prepare()
  assert.equal(service.requests, 1)
  assert.match(said.join('\n'), /Nothing to upload/)

  await write(project, { 'package3/module3.py': 'changed = True\n' })
  await prepare()
  assert.ok(service.bytes < 300_000, `${service.bytes} bytes`)
  assert.match(said.join('\n'), /^Sent \d pieces/m)
})

test('a change that leaves size and times as they were is seen while the file is new', async (t) => {
  const { api, id, project, prepare } = await mirrorSetUp(t)
  await write(project, { 'x.py': 'x = 1' })
  const now = new Date()
  await utimes(join(project, 'x.py'), now, now)
  await prepare()
  await write(project, { 'x.py': 'x = 2' })
  await utimes(join(project, 'x.py'), now, now)
  const { mirror } = await prepare()
  assert.deepEqual((await bundleOfRoot(api, id, mirror?.roots[0])).files, { 'x.py': 'x = 2' })
})

test('ignored files, caches and environments stay away; extra paths come all the same', async (t) => {
  const { api, id, folder, project, prepare } = await mirrorSetUp(t)
  await write(project, {
    '.gitignore': '*.log\n/out/\nconfig/secret/\n!keep.log\n',
    '.meadowignore': 'big.bin\n!back.log\n',
    'main.py': 'm',
    'a.log': '-',
    'keep.log': 'k',
    'back.log': 'b',
    'big.bin': '-',
    'out/x': '-',
    'out/[1]/{x}*': '-',
    'deep/.gitignore': 'local\n!a.log\n',
    'deep/local': '-',
    'deep/a.log': 'd',
    'deep/out/x': 'o',
    'config/secret/a.json': '{}',
    'config/secret/b.txt': '-',
    'config/a.json': '[]',
    '__pycache__/m.pyc': '-',
    '.venv/pyvenv.cfg': '-',
    'env/pyvenv.cfg': '-',
    'env/lib/x.py': '-',
    'node_modules/x.js': '-',
    '.mypy_cache/x': '-',
    '.git/HEAD': '-',
    'sub/.git': '-',
  })
  await write(folder, { 'beside/tool.py': 't', 'beside/n.txt': 'n' })
  const extraPaths = ['config/**/*.json', '../beside', 'out/x', 'out/[1]/{x}*']
  const { mirror } = await prepare({ extraPaths })
  assert.deepEqual(Object.keys((await bundleOfRoot(api, id, mirror?.roots[0])).files), [
    '.gitignore',
    '.meadowignore',
    'back.log',
    'config/a.json',
    'config/secret/a.json',
    'deep/.gitignore',
    'deep/a.log',
    'deep/out/x',
    'keep.log',
    'main.py',
    'out/[1]/{x}*',
    'out/x',
  ])
  assert.deepEqual((await bundleOfRoot(api, id, mirror?.roots[1])).files, { 'n.txt': 'n', 'tool.py': 't' })
  assert.deepEqual(mirror?.['sys-path'], [{ root: 0 }, { root: 1 }])
  await assert.rejects(prepare({ extraPaths: ['nowhere'] }), /extra-paths: there is no .*\/nowhere/)
  await assert.rejects(prepare({ extraPaths: ['*.nothing'] }), /extra-paths: no file is like \*\.nothing/)
})

test('a root on sys.path is not emptied by rules from above it', async (t) => {
  const { api, id, folder, env, prepare, said } = await mirrorSetUp(t)
  const repo = join(folder, 'repo')
  await write(repo, {
    '.gitignore': 'gen/\n',
    'gen/api_pb2.py': 'g',
    'app/main.py': 'm',
    'app/.env': 's',
    '.git/x': '',
  })
  await write(repo, { 'app/.gitignore': '*\n' })
  const PYTHONPATH = join(repo, 'gen')
  const { mirror } = await prepare({ folder: join(repo, 'app') }, { env: { ...env, PYTHONPATH } })
  const files = await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files))
  assert.deepEqual(files, [{}, { 'api_pb2.py': 'g' }])
  assert.match(said.join('\n'), /^Ignored Python files of .*\/repo\/app are left out \(1\): main\.py\. Name those/m)
})

test('modes are kept; links stay where they lead inside, and are named where they lead out', async (t) => {
  const { api, id, folder, project, said, prepare } = await mirrorSetUp(t)
  await write(project, { 'run.sh': '#!/bin/sh', 'a/file': 'f' })
  await chmod(join(project, 'run.sh'), 0o700)
  await write(folder, { 'secret.txt': 's' })
  await symlink('a/file', join(project, 'inside'))
  await symlink(join(project, 'a'), join(project, 'absolute'))
  await symlink('../secret.txt', join(project, 'outside'))
  await symlink(folder, join(project, 'a', 'up'))
  // The same folder by another name, as homes have one.
  await symlink(folder, join(folder, 'name'))
  await symlink(join(folder, 'name/project/a/file'), join(project, 'a/named'))
  await symlink(join(folder, 'name/project/outside'), join(project, 'named-outside'))
  await symlink(join(folder, 'name/project/a/up/secret.txt'), join(project, 'named-up'))
  await symlink(`${project}/a/up/../x`, join(project, 'parent'))
  const { mirror } = await prepare()
  assert.deepEqual((await bundleOfRoot(api, id, mirror?.roots[0])).files, {
    'a/file': 'f',
    'a/named': '-> file',
    absolute: '-> a',
    inside: '-> a/file',
    'run.sh': '#!/bin/sh (x)',
  })
  assert.match(said.join('\n'), /project\/outside is left out: .*leads out of .*project \(to \.\.\/secret\.txt\)/)
  for (const path of ['a/up', 'named-outside', 'named-up', 'parent']) {
    assert.ok(said.some((line) => line.startsWith(`${project}/${path} is left out: it is a link that leads out of `)))
  }
})

test('links among extra paths arrive with what they lead to, unless that is outside', async (t) => {
  const { api, id, folder, project, prepare, said } = await mirrorSetUp(t)
  await write(project, { '.gitignore': 'data/\nlinks/\n', 'data/v2/a.json': 'a', 'links/x.txt': '-', 'b.txt': 'b' })
  await write(folder, { 'shared/c.json': 'c', 'shared/old.json': 'o', 'secret/d.json': '-', 'secret/key': '-' })
  const links: [string, string][] = [
    ['data/latest', 'v2'],
    ['links/a.json', '../data/latest/a.json'],
    ['links/b.json', '../b.txt'],
    ['links/gone.json', 'nothing'],
    ['links/out.json', '../../secret/key'],
    ['conf', '../secret'],
    ['../shared/new.json', 'old.json'],
  ]
  for (const [path, target] of links) await symlink(target, join(project, path))
  const extraPaths = ['links/*.json', 'conf/*.json', '../shared/*.json']
  const { mirror } = await prepare({ extraPaths })
  const files = await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files))
  assert.deepEqual(files, [
    {
      '.gitignore': 'data/\nlinks/\n',
      'b.txt': 'b',
      'data/latest': '-> v2',
      'data/v2/a.json': 'a',
      'links/a.json': '-> ../data/latest/a.json',
      'links/b.json': '-> ../b.txt',
    },
    { 'c.json': 'c', 'new.json': '-> old.json', 'old.json': 'o' },
  ])
  assert.deepEqual(said.slice(1, 6), [
    `extra-paths: ${project}/links/gone.json is left out: it is a link to what is not there.`,
    `${project}/conf is left out: it is a link that leads out of ${project} (to ../secret).`,
    `${project}/links/out.json is left out: it is a link that leads out of ${project} (to ../../secret/key).`,
    `${project}: 6 files, 0.0 kB.`,
    `${folder}/shared, at /workspace.1: 3 files, 0.0 kB.`,
  ])
  await assert.rejects(prepare({ extraPaths: ['links/gone*'] }), /extra-paths: no file is like links\/gone\*$/)
})

test('the same files give the same bundle, whoever packs them and when', async (t) => {
  const { api, id, folder, project, prepare } = await mirrorSetUp(t)
  const files = { 'a.py': '1', 'b/c.py': '2', 'ä/日本.py': '3' }
  await write(project, files)
  const other = join(folder, 'other')
  await write(other, Object.fromEntries(Object.entries(files).reverse()))
  const [first, second] = [await prepare(), await prepare({ folder: other })]
  assert.equal(first.mirror?.roots[0], second.mirror?.roots[0])
  assert.deepEqual(Object.keys((await bundleOfRoot(api, id, first.mirror?.roots[0])).files), [
    'a.py',
    'b/c.py',
    'ä/日本.py',
  ])
})

test('too much is refused before anything is sent, with the biggest files named', async (t) => {
  const { project, service, prepare } = await mirrorSetUp(t)
  await write(project, {
    'small.py': 's',
    'data/big.bin': Buffer.alloc(3_000_000),
    'data/less.bin': Buffer.alloc(200_000),
  })
  await assert.rejects(prepare({}, { limit: 1_000_000 }), (error: Error & { hint: string }) => {
    assert.match(error.message, /has 3\.2 MB, and 1\.0 MB is the most.*\n {2}3\.0 MB {2}.*data\/big\.bin\n {2}0\.2 MB/s)
    assert.match(error.hint, /\.meadowignore/)
    return true
  })
  assert.equal(service.requests, 0)
})

test('more folders than a request may have are refused before they are looked at, the first ones named', async (t) => {
  const { folder, project, service, env, said, prepare } = await mirrorSetUp(t)
  const folders = Array.from({ length: 100 }, (_, n) => join(folder, `lib${n}`))
  for (const each of folders) await mkdir(each)
  const PYTHONPATH = folders.join(':')
  await assert.rejects(prepare({}, { env: { ...env, PYTHONPATH } }), (error: Error & { hint: string }) => {
    const named = [project, ...folders.slice(0, 4)].join(', ')
    assert.equal(`${error}`, `MirrorRefused: 101 folders would be mirrored, and 100 is the most: ${named} and so on`)
    assert.match(error.hint, /^Take folders out of PYTHONPATH/)
    return true
  })
  assert.deepEqual([service.requests, said.length], [0, 1])
  const { mirror } = await prepare({}, { env: { ...env, PYTHONPATH: folders.slice(1).join(':') } })
  assert.equal(mirror?.roots.length, 100)
})

test('an extra path that a link in the project leads out is refused; named itself it is taken', async (t) => {
  const { api, id, folder, project, prepare } = await mirrorSetUp(t)
  await write(folder, { 'data/a.csv': '1', 'key.txt': 'k' })
  await write(project, { '.gitignore': '*\n', 'real/v2/b.csv': '2' })
  await symlink('../data', join(project, 'data'))
  await symlink('../key.txt', join(project, 'key.txt'))
  await symlink('real', join(project, 'inside'))
  await symlink('v2', join(project, 'real/latest'))
  for (const path of ['data', 'data/a.csv', 'key.txt', join(project, 'data')]) {
    const refusal = {
      message: /^extra-paths: .* leads out of the project, to \//,
      hint: /^Name \/.* itself, if that is meant\.$/,
    }
    await assert.rejects(prepare({ extraPaths: [path] }), refusal)
  }
  const { mirror } = await prepare({ extraPaths: ['../data', 'inside/latest'] })
  const files = await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files))
  const links = { inside: '-> real', 'real/latest': '-> v2' }
  assert.deepEqual(files, [{ ...links, 'real/v2/b.csv': '2' }, { 'a.csv': '1' }])
  assert.deepEqual(mirror?.['sys-path'], [{ root: 0 }, { root: 1 }, { root: 0, path: 'real/v2' }])
})

test('the home folder and what is above it are not mirrored, behind a link neither', async (t) => {
  const { folder, env, service, prepare } = await mirrorSetUp(t)
  const home = join(folder, 'disk/me')
  await write(home, { '.ssh/id_rsa': 'key', 'tools/tool.py': '', 'notes/n.py': '' })
  await symlink('disk', join(folder, 'home'))
  const { HOME } = process.env
  t.after(() => {
    process.env.HOME = HOME
  })
  const refused = async (root: string, asked: Promise<unknown>) =>
    await assert.rejects(asked, (error: Error & { hint: string }) => {
      assert.equal(`${error}`, `MirrorRefused: ${root} would be mirrored with all that is in it`)
      assert.match(error.hint, /take folders like this one out of PYTHONPATH/)
      return true
    })
  for (const written of [home, join(folder, 'home/me')]) {
    process.env.HOME = written
    await refused(home, prepare({ folder: home }))
    await refused(join(folder, 'disk'), prepare({ folder: join(folder, 'disk') }))
    await refused(home, prepare({}, { env: { ...env, PYTHONPATH: written } }))
    await refused(home, prepare({ extraPaths: [written] }))
    await writeFile(join(home, 'requirements.txt'), '')
    const { mirror } = await prepare({ folder: join(home, 'notes') })
    assert.deepEqual(mirror?.['sys-path'], [{ root: 0 }], 'a project begins below the home folder')
  }
  await refused('/', prepare({ folder: '/' }))
  assert.equal(service.requests, 0)
})

test('an upload that broke off goes on where it was', async (t) => {
  const { project, service, prepare } = await mirrorSetUp(t)
  const files: Record<string, Buffer> = {}
  for (let n = 0; n < 60; n++) files[`part${n}.bin`] = Buffer.alloc(700_000, `${n}`)
  await write(project, files)
  const upload = service.uploadBatch.bind(service)
  let batches = 0
  service.uploadBatch = async (batch, signal) => {
    if (batch.size > 10_000_000 && ++batches === 2) throw new Error('the network is gone')
    await upload(batch, signal)
  }
  await assert.rejects(prepare(), /the network is gone/)
  service.uploadBatch = upload
  await prepare()
  assert.ok(service.bytes < 30_000_000, `${service.bytes} of 42 MB`)
})

test('what is gone on the other side is sent again', async (t) => {
  const { api, id, project, prepare } = await mirrorSetUp(t)
  await write(project, { 'x.py': 'x = 1' })
  const { mirror } = await prepare()
  const root = mirror?.roots[0] as Digest
  const list = `sha256:${(await text(await api.blobs.open(root))).trim()}` as Digest
  const piece = `sha256:${(await text(await api.blobs.open(list))).trim()}` as Digest
  await api.blobs.remove(piece)
  await assert.rejects(bundleOfRoot(api, id, root), /the mirrored code lacks 1 of its pieces/)
  await prepare()
  assert.deepEqual((await bundleOfRoot(api, id, root)).files, { 'x.py': 'x = 1' })
})

test('files that change while they are mirrored: it begins anew, three times at most', async (t) => {
  const { api, id, project, service, said, prepare } = await mirrorSetUp(t)
  await write(project, { 'a.py': 'a = 1', 'b.py': 'b = 1', 'large.bin': Buffer.alloc(3_000_000) })
  const changes = [{ 'a.py': 'a = 2' }, { 'large.bin': Buffer.alloc(2_000_000, 'x') }, { 'b.py': 'b = 11' }]
  const missing = service.missing.bind(service)
  const begun = new Set<string>()
  service.missing = async (...asked) => {
    const root = asked[0].mirror?.roots[0] ?? ''
    const change = begun.has(root) ? undefined : changes.shift()
    begun.add(root)
    if (change) await write(project, change)
    return await missing(...asked)
  }
  const anew = () => said.filter((line) => line.includes('changes while'))
  await assert.rejects(prepare(), (error: Error & { hint: string }) => {
    assert.equal(`${error}`, 'MirrorRefused: b.py changes while it is mirrored')
    assert.equal(error.hint, 'Wait until it is written, or leave it out by a .meadowignore file.')
    return true
  })
  const begins = (path: string) => `${path} changes while it is mirrored; it begins anew.`
  assert.deepEqual(anew(), [begins('a.py'), begins('large.bin')])
  changes.push({ 'a.py': 'a = 3' })
  const { mirror } = await prepare()
  assert.deepEqual(anew(), [begins('a.py')])
  const { files } = await bundleOfRoot(api, id, mirror?.roots[0])
  assert.deepEqual([files['a.py'], files['b.py'], files['large.bin']?.length], ['a = 3', 'b = 11', 2_000_000])
})

test('an environment file of the project is mirrored with what it includes, ignored or not', async (t) => {
  const { api, id, project, prepare } = await mirrorSetUp(t)
  await write(project, { '.gitignore': 'made*\n', 'made.txt': '-r made-more.txt\n', 'made-more.txt': 'six\n' })
  const asked = await prepare({ interpreter: 'made.txt' })
  assert.deepEqual(
    [asked.interpreter, asked['environment-files'], asked['python-version']],
    ['made.txt', undefined, undefined],
  )
  const { files } = await bundleOfRoot(api, id, asked.mirror?.roots[0])
  assert.deepEqual(Object.keys(files), ['.gitignore', 'made-more.txt', 'made.txt'])
  await symlink('made.txt', join(project, 'made-link.txt'))
  const linked = await prepare({ interpreter: join(project, 'made-link.txt') })
  assert.equal(linked.interpreter, 'made-link.txt')
  assert.equal((await bundleOfRoot(api, id, linked.mirror?.roots[0])).files['made-link.txt'], '-> made.txt')
  await unlink(join(project, 'made-more.txt'))
  await assert.rejects(prepare({ interpreter: 'made.txt' }), /made\.txt:1: .*there is no made-more\.txt/)
  await assert.rejects(prepare({ interpreter: 'none.txt' }), /interpreter: there is no none\.txt in /)
})

test('what lines of a requirements file name is mirrored, ignored or not, and nothing else of what they say', async (t) => {
  const { api, id, folder, project, prepare } = await mirrorSetUp(t)
  const lines = [
    './dist/mine-1-py3-none-any.whl ; python_version > "3"',
    'other @ file:dist/other-1.tar.gz',
    '-e gen[more]',
    '-e .',
    `deep @ \${PROJECT_ROOT}/dist/deep.zip`,
    '--find-links wheels # here',
    '-r more/more.txt',
    './.env',
    './secret',
    './key.whl',
    './out.whl',
    '-e ./.git',
    '../beside/b.whl',
    'numpy==2',
    'https://files.example/x.whl',
  ]
  const mirrored = {
    'dist/deep.zip': 'd',
    'dist/mine-1-py3-none-any.whl': 'm',
    'dist/other-1.tar.gz': 'o',
    'gen/gen.py': 'g',
    'gen/setup.py': 's',
    'more/near.whl': 'n',
    'nb/far.whl': 'f',
    'wheels/w.whl': 'w',
  }
  await write(project, {
    ...mirrored,
    '.gitignore': '*\n!requirements.txt\n',
    'requirements.txt': lines.join('\n'),
    'pyproject.toml': '',
    'more/more.txt': './near.whl\n./far.whl\n',
    'dist/not-named.whl': '-',
    'wheels/w.txt': '-',
    'numpy/setup.py': '-',
    '.env': '-',
    'secret/key': '-',
    '.git/setup.py': '-',
    '.git/config': '-',
  })
  await write(folder, { 'beside/b.whl': '-' })
  await symlink('.git/config', join(project, 'key.whl'))
  await symlink('../beside/b.whl', join(project, 'out.whl'))
  const { mirror } = await prepare({ interpreter: 'requirements.txt', folder: join(project, 'nb') })
  const { files } = await bundleOfRoot(api, id, mirror?.roots[0])
  const environment = { 'more/more.txt': './near.whl\n./far.whl\n', 'requirements.txt': lines.join('\n') }
  assert.deepEqual(files, { ...mirrored, ...environment })
})

test("the working directory's place in its project is kept", async (t) => {
  const { project, prepare } = await mirrorSetUp(t)
  await write(project, { 'requirements.txt': '', 'notebooks/deep/x.py': '' })
  const { mirror, ...rest } = await prepare({ folder: join(project, 'notebooks'), workingDirectory: 'deep' })
  assert.deepEqual(mirror?.['sys-path'], [{ root: 0, path: 'notebooks' }])
  assert.equal(rest['working-directory'], 'notebooks/deep')
})

test('the project of a member of a uv workspace is the workspace, as far as its lock knows the member', async (t) => {
  const { project, prepare, env } = await mirrorSetUp(t)
  const source = (kind: string, path: string) =>
    `[[package]]\nname = "x"\nversion = "0.1.0"\nsource = { ${kind} = "${path}" }\n\n`
  await write(project, {
    'pyproject.toml': '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
    'uv.lock': `version = 1\n\n${source('editable', 'packages/a')}${source('virtual', 'packages/b')}${source('virtual', 'own')}`,
  })
  for (const name of ['packages/a', 'packages/b', 'docs', 'own'])
    await write(join(project, name), { 'pyproject.toml': '' })
  await write(project, { 'packages/a/src/a.py': '', 'own/requirements.txt': '' })
  const from = async (folder: string) => {
    const asked = await prepare({ folder: join(project, folder) }, { env: { ...env, VIRTUAL_ENV: undefined } })
    return [asked.interpreter, asked.mirror?.['sys-path'][0]?.path, asked['working-directory']]
  }
  assert.deepEqual(await from('packages/a/src'), ['uv.lock', 'packages/a/src', 'packages/a/src'])
  assert.deepEqual(await from('packages/b'), ['uv.lock', 'packages/b', 'packages/b'])
  assert.deepEqual(await from('docs'), ['pyproject.toml', undefined, undefined])
  assert.deepEqual(await from('own'), ['requirements.txt', undefined, undefined])
})

test('an environment file outside of the project is sent along; nothing that a link in it leads to', async (t) => {
  const { api, id, folder, project, said, prepare } = await mirrorSetUp(t)
  // More than a batch takes.
  const long = `six\n${'# a long list\n'.repeat(300_000)}`
  await write(folder, { 'req/all.txt': '-r more/base.txt\n', 'req/more/base.txt': long, 'req/uv.lock': '' })
  const asked = await prepare({ interpreter: '../req/all.txt' })
  assert.equal(asked.interpreter, '.meadow/all.txt')
  const sent = Object.entries(asked['environment-files'] ?? {})
  const texts = sent.map(async ([path, digest]) => [path, await text(await api.blobs.open(digest as Digest))])
  assert.deepEqual(await Promise.all(texts), [
    ['.meadow/all.txt', '-r more/base.txt\n'],
    ['.meadow/more/base.txt', long],
  ])
  await symlink('../secret.txt', join(folder, 'req/link.txt'))
  await write(folder, { 'secret.txt': 's', 'req/bad.txt': '-r link.txt\n' })
  await assert.rejects(
    prepare({ interpreter: '../req/bad.txt' }),
    /^EnvironmentFileError: link\.txt: can't be sent .* link/,
  )
  await symlink('../req', join(project, 'linked'))
  await write(project, { 'inside.txt': '-r linked/more/base.txt\n' })
  const { mirror } = await prepare({ interpreter: 'inside.txt' })
  assert.deepEqual(
    await Promise.all((mirror?.roots ?? []).map(async (root) => (await bundleOfRoot(api, id, root)).files)),
    [{ 'inside.txt': '-r linked/more/base.txt\n' }],
  )
  assert.match(
    said.join('\n'),
    /^.*\/project\/linked is left out: it is a link that leads out of .*project \(to \.\.\/req\)\.$/m,
  )
  await assert.rejects(prepare({ interpreter: '../req/uv.lock' }), (error: Error & { hint: string }) => {
    assert.equal(error.message, `interpreter: ../req/uv.lock belongs to another project than ${project}`)
    assert.match(error.hint, /^Begin in the folder of its project, or name a file that needs none/)
    return true
  })
})
