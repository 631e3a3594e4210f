import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { type LocalFolder, localFiles } from '../../client/deployment/local-files.ts'
import { PieceCache } from '../../client/deployment/piece-cache.ts'
import { piecesOf } from '../../client/deployment/pieces.ts'
import { temporaryFolder } from '../support/repositories.ts'

function write(folder: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
}

function git(folder: string, ...args: string[]): string {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' }
  return execFileSync('git', args, { cwd: folder, env }).toString()
}

function look(folder: LocalFolder, most?: number) {
  const said: string[] = []
  const paths = localFiles(folder, (line) => said.push(line), most).map(({ path }) => path)
  return { paths, said }
}

test('of a git checkout it is what git has and would add', async (t) => {
  const folder = await temporaryFolder(t)
  const name = fc.constantFrom('a', 'b', 'c.x', 'd e')
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
  const rule = fc
    .tuple(
      fc.constantFrom('', '!', '/', '!/'),
      fc.oneof(name, path, fc.constantFrom('*', '*.x', 'a/*', '**/b', 'a/**')),
    )
    .chain(([front, pattern]) => fc.constantFrom('', '/').map((end) => `${front}${pattern}${end}`))
  const rules = fc.dictionary(
    fc.oneof(fc.constant(''), path),
    fc.array(rule, { minLength: 1, maxLength: 4 }).map((lines) => `${lines.join('\n')}\n`),
    { maxKeys: 4 },
  )
  const below = fc.constantFrom('', '', 'a', 'b')
  fc.assert(
    fc.property(fc.array(fc.tuple(path, fc.boolean()), { maxLength: 12 }), rules, below, (files, ignoring, root) => {
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(join(folder, root), { recursive: true })
      git(folder, 'init', '--quiet')
      const all = new Map([...files.map(([path]) => path), ...Object.keys(ignoring)].map((path) => [`${path}/f`, '']))
      for (const [path] of all) write(folder, { [path]: '' })
      for (const [path, text] of Object.entries(ignoring)) write(folder, { [join(path, '.gitignore')]: text })
      const tracked = files.filter(([, tracked]) => tracked).map(([path]) => `${path}/f`)
      if (tracked.length > 0) git(folder, 'add', '-f', ...tracked)
      // A root that is asked for is there though it is ignored as a whole: this is not git's way.
      fc.pre(root === '' || spawnSync('git', ['check-ignore', '--no-index', '-q', root], { cwd: folder }).status === 1)
      const there = git(join(folder, root), 'ls-files', '-coz', '--exclude-standard').split('\0').filter(Boolean)
      assert.deepEqual(look({ folder: join(folder, root) }).paths, [...new Set(there)].sort())
    }),
    { numRuns: 40 },
  )
})

test('what git tracks is kept though it is ignored; .meadowignore rules it all the same', async (t) => {
  const folder = await temporaryFolder(t)
  write(folder, {
    '.gitignore': 'lib/\n*.log\n',
    '.meadowignore': 'lib/large.bin\n!seen.log\n',
    'lib/util.py': '',
    'lib/untracked.py': '',
    'lib/large.bin': '',
    'lib/.gitignore': '!untracked.py\n',
    'seen.log': '',
    'sub/lib/inner.py': '',
  })
  git(folder, 'init', '--quiet')
  git(folder, 'add', '-f', 'lib/util.py', 'lib/large.bin')
  git(join(folder, 'sub'), 'init', '--quiet')
  git(join(folder, 'sub'), 'add', '-f', 'lib/inner.py')
  const files = ['.gitignore', '.meadowignore', 'lib/util.py', 'seen.log', 'sub/lib/inner.py']
  const fix = `Name those that are needed in extra-paths, or like "!/lib/untracked.py" in ${folder}/.meadowignore.`
  const said = `Ignored Python files of ${folder} are left out (1): lib/untracked.py. ${fix}`
  assert.deepEqual(look({ folder }), { paths: files, said: [said] })
  const rules = readFileSync(join(folder, '.meadowignore'))
  writeFileSync(join(folder, '.meadowignore'), `${rules}!/lib/untracked.py\n`)
  assert.deepEqual(look({ folder }), { paths: [...files, 'lib/untracked.py'].sort(), said: [] })
  writeFileSync(join(folder, '.meadowignore'), rules)
  rmSync(join(folder, '.git/HEAD'))
  rmSync(join(folder, 'sub'), { recursive: true })
  const { paths, said: why } = look({ folder })
  assert.deepEqual(paths, ['.gitignore', '.meadowignore', 'seen.log'])
  assert.match(
    why[0] ?? '',
    /^Git can't be asked what it tracks in .* \(fatal: not a git repository.*\): what \.gitignore/,
  )
})

test('what this checkout alone ignores is left out, unless a file of the tree says otherwise', async (t) => {
  const folder = await temporaryFolder(t)
  write(folder, {
    'repo/.git/info/exclude': '# mine\n.env\n/app/notes/\n*.csv\n',
    'repo/.gitignore': '!kept.csv\n',
    'repo/.env': '-',
    'repo/app/.env': '-',
    'repo/app/main.py': '',
    'repo/app/notes/today.md': '-',
    'repo/app/large.csv': '-',
    'repo/app/kept.csv': '',
    'tree/.git': 'gitdir: ../repo/.git/worktrees/tree\n',
    'tree/main.py': '',
  })
  const paths = (root: string) => look({ folder: join(folder, root) }).paths
  assert.deepEqual(paths('repo'), ['.gitignore', 'app/kept.csv', 'app/main.py'])
  assert.deepEqual(paths('repo/app'), ['kept.csv', 'main.py'])
  assert.deepEqual(paths('tree'), ['main.py'])
})

test('a folder on sys.path is mirrored though git ignores all that Python would find in it', async (t) => {
  const folder = await temporaryFolder(t)
  write(folder, {
    'repo/.git/x': '',
    'repo/.gitignore': 'gen/\n*.log\n/half/*\n!/half/.gitkeep\n',
    'repo/gen/api_pb2.py': '',
    'repo/gen/x.log': '',
    'repo/half/.gitkeep': '',
    'repo/half/api_pb2.py': '',
    'repo/app/.gitignore': 'part/*\n!part/.gitkeep\n_version.py\ndata/*\n!data/.gitkeep\n',
    'repo/app/.meadowignore': 'none\n',
    'repo/app/_version.py': '',
    'repo/app/part/.gitkeep': '',
    'repo/app/part/api_pb2.py': '',
    'repo/app/part/deep/b_pb2.so': '',
    'repo/app/data/.gitkeep': '',
    'repo/app/data/large.csv': '',
    'repo/app/none/x.py': '',
  })
  const repo = join(folder, 'repo')
  const paths = (root: LocalFolder) => look(root).paths
  assert.deepEqual(paths({ folder: join(repo, 'gen'), needed: [''] }), ['api_pb2.py'])
  assert.deepEqual(paths({ folder: join(repo, 'half'), needed: [''] }), ['.gitkeep', 'api_pb2.py'])
  assert.deepEqual(paths({ folder: join(repo, 'half') }), ['.gitkeep'])
  const app = look({ folder: join(repo, 'app'), needed: ['part', 'data', 'none'] })
  const part = ['part/.gitkeep', 'part/api_pb2.py', 'part/deep/b_pb2.so']
  assert.deepEqual(app.paths, ['.gitignore', '.meadowignore', 'data/.gitkeep', ...part])
  const fix = `Name those that are needed in extra-paths, or like "!/_version.py" in ${repo}/app/.meadowignore.`
  assert.equal(app.said.at(-1), `Ignored Python files of ${repo}/app are left out (1): _version.py. ${fix}`)
  const without = look({ folder: join(repo, 'app') })
  assert.equal(
    without.said.at(-1),
    `Ignored Python files of ${repo}/app are left out (2): _version.py and others. ${fix}`,
  )
})

test('byte code is mirrored where it is all that there is of a module', async (t) => {
  const folder = await temporaryFolder(t)
  write(folder, {
    '.git/x': '',
    'lib/.gitignore': '*\n',
    'lib/sold.pyc': '',
    'a.py': '',
    'a.pyc': '',
    'a.cpython-311.pyc': '',
    'old.pyo': '',
    'alone.pyc': '',
    '__pycache__/gone.pyc': '',
  })
  assert.deepEqual(look({ folder, needed: ['lib'] }).paths, ['a.py', 'alone.pyc', 'lib/.gitignore', 'lib/sold.pyc'])
})

test('a file that may not be read is named, small or large; one that is gone changed', async (t) => {
  const folder = await temporaryFolder(t)
  write(folder, { 'large.bin': 'x'.repeat(300_000), 'small.txt': 'x' })
  const read = async (path: string) => {
    const files = localFiles({ folder }, () => {}).filter((file) => file.path === path)
    chmodSync(join(folder, path), 0)
    const root = process.geteuid?.() === 0
    const cache = await PieceCache.open(undefined, folder)
    if (root) process.seteuid?.(65534)
    try {
      return await piecesOf(folder, files, cache)
    } finally {
      if (root) process.seteuid?.(0)
    }
  }
  for (const path of ['large.bin', 'small.txt']) {
    await assert.rejects(read(path), (error: Error & { hint: string }) => {
      assert.match(`${error}`, /^MirrorRefused: \//)
      assert.ok(error.message.startsWith(`${folder}/${path} can't be read: EACCES: permission denied`))
      assert.equal(error.hint, 'Name it in .meadowignore.')
      return true
    })
    const files = localFiles({ folder }, () => {}).filter((file) => file.path === path)
    rmSync(join(folder, path))
    const cache = await PieceCache.open(undefined, folder)
    await assert.rejects(piecesOf(folder, files, cache), { name: 'FileChanged' })
  }
})

test('more files than anybody means are refused', async (t) => {
  const folder = await temporaryFolder(t)
  write(folder, { 'a.py': '', 'b/c.py': '', 'b/d.py': '' })
  assert.equal(look({ folder }, 3).paths.length, 3)
  assert.throws(() => look({ folder }, 2), {
    name: 'MirrorRefused',
    message: `${folder} has more than 2 files`,
    hint: 'Leave folders of data out by a .meadowignore file, or begin in a smaller folder.',
  })
})

test('a name that is not UTF-8 is refused, unless it is ignored', async (t) => {
  const folder = await temporaryFolder(t)
  const name = Buffer.from([0x62, 0x61, 0x64, 0xff])
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), name]), '')
  write(folder, { 'a.py': '' })
  assert.throws(() => look({ folder }), {
    name: 'MirrorRefused',
    message: 'bad\ufffd has a name that is not UTF-8',
    hint: 'Rename it, or name it in .meadowignore.',
  })
  writeFileSync(join(folder, '.meadowignore'), Buffer.concat([name, Buffer.from('\n')]))
  assert.deepEqual(look({ folder }).paths, ['.meadowignore', 'a.py'])
  writeFileSync(join(folder, '.meadowignore'), 'bad*\n')
  assert.deepEqual(look({ folder }).paths, ['.meadowignore', 'a.py'])
})
