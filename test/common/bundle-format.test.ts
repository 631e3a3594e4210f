import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { type BundleLimits, commitBundle } from '../../common/bundle-format.ts'
import { ObjectReader } from '../../common/object-reader.ts'
import { type TestFile, TestRepository, temporaryFolder } from '../support/repositories.ts'

/** What Python's own reader makes of a tar, one line an entry. */
const LISTING = `
import hashlib, json, sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    for m in tar:
        data = hashlib.sha256(tar.extractfile(m).read()).hexdigest() if m.isfile() else m.linkname
        print(json.dumps([m.type.decode(), m.name, m.mode, data, m.uid, m.gid, m.uname, m.mtime]))
`

async function bundleOf(folder: string, commit: string, limits?: BundleLimits): Promise<Buffer> {
  await using objects = new ObjectReader({ cwd: folder })
  return await buffer((await commitBundle(objects, commit, limits)).chunks)
}

async function listing(folder: string, tar: Buffer): Promise<unknown[][]> {
  await writeFile(join(folder, 'bundle.tar'), tar)
  const { stdout } = await promisify(execFile)('python3', ['-c', LISTING, join(folder, 'bundle.tar')])
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

const name = fc
  .oneof(fc.stringMatching(/^[a-c][a-z.~-]{0,6}$/), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }))
  .filter((text) => text.isWellFormed() && !/[/\0]/.test(text) && !/^\.|^git~1/i.test(text) && !text.includes('\\'))
const content = fc.oneof(fc.uint8Array({ maxLength: 2000 }), fc.constant(new Uint8Array(512)))
const file: fc.Arbitrary<TestFile> = fc.oneof(
  content,
  content.map((program) => ({ program })),
  fc.constantFrom('a', '../b', './c/../d', 'x'.repeat(150)).map((link) => ({ link })),
)
/** At least two folders deep, so that no link leads outside. */
const tree = fc.uniqueArray(fc.tuple(fc.array(name, { minLength: 1, maxLength: 3 }), file), {
  maxLength: 12,
  selector: ([path]) => path[0],
})

test('an independent reader finds exactly what was committed', async (t) => {
  const folder = await temporaryFolder(t)
  const repository = await TestRepository.make(join(folder, 'repository'))
  await fc.assert(
    fc.asyncProperty(tree, async (files) => {
      const byPath = files.map(([path, file]) => [['f', ...path].join('/'), file] as const)
      const commit = await repository.commit(Object.fromEntries(byPath))
      const found = await listing(folder, await bundleOf(repository.folder, commit))
      const leaves = found.filter(([type]) => type !== '5')
      const expected = byPath.map(([path, file]) => [path, ...expectation(file)])
      expected.sort(([a], [b]) => Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b))))
      assert.deepEqual(
        leaves.map(([, path, mode, data]) => [path, mode, data]),
        expected,
      )
      assert.ok(found.every(([, , , , ...rest]) => String(rest) === '0,0,,946684800'))
      const folders = found.filter(([type]) => type === '5').map(([, path]) => path)
      const parents = byPath.flatMap(([path]) => path.split('/').map((_, n, parts) => parts.slice(0, n).join('/')))
      assert.deepEqual(new Set(folders), new Set(parents.filter(Boolean)))
    }),
    { numRuns: 25 },
  )
})

function expectation(file: TestFile): [number, string] {
  const sha256 = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')
  if (typeof file === 'string' || file instanceof Uint8Array) return [0o644, sha256(file)]
  return 'link' in file ? [0o777, file.link] : [0o755, sha256(file.program)]
}

test('attributes, filters and the working tree change nothing', async (t) => {
  const folder = await temporaryFolder(t)
  const repository = await TestRepository.make(join(folder, 'origin'))
  const files = {
    '.gitattributes': '* text eol=crlf ident\nsecret export-ignore\n',
    secret: '$Id$\n',
    'a.txt': 'a\nb\n',
  }
  const commit = await repository.commit(files, { ref: 'refs/heads/main' })
  const bare = await bundleOf(repository.folder, commit)
  await repository.git(['clone', '--quiet', '-c', 'core.autocrlf=true', repository.folder, join(folder, 'clone')])
  await writeFile(join(folder, 'clone', 'a.txt'), 'changed')
  assert.deepEqual(await bundleOf(join(folder, 'clone'), commit), bare)
  assert.deepEqual(
    (await listing(folder, bare)).map(([, path]) => path),
    ['.gitattributes', 'a.txt', 'secret'],
  )
})

test('submodules are left out and listed; the empty tree is a bundle', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  const blob = await repository.blob('x')
  const id = '1'.repeat(40)
  const commit = await repository.commitTree(
    await repository.tree([
      { mode: '160000', name: 'sub', id },
      { mode: '100644', name: 'x', id: blob },
    ]),
  )
  await using objects = new ObjectReader({ cwd: repository.folder })
  const { gitlinks, files } = await commitBundle(objects, commit)
  assert.deepEqual({ gitlinks, files }, { gitlinks: [{ path: 'sub', id }], files: 1 })
  const empty = await bundleOf(repository.folder, await repository.commitTree(await repository.tree([])))
  assert.equal(empty.length, 1024)
})

test('names that no checkout would have are refused by name', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  const id = await repository.blob('x')
  const names = ['..', '.', '.git', '.GIT', '.Git ', 'git~1', '.git.', '.git::$INDEX_ALLOCATION']
  names.push('.g\u200cit', '\ufeff.git', 'a\\..\\b', 'x\\.git\\hooks', 'n'.repeat(256))
  for (const name of names) {
    const commit = await repository.commitTree(await repository.tree([{ mode: '100644', name, id }]))
    await assert.rejects(bundleOf(repository.folder, commit), { name: 'BundleRefused', code: 'name', path: name })
    const inside = await repository.tree([
      { mode: '40000', name, id: await repository.tree([{ mode: '100644', name: 'f', id }]) },
    ])
    await assert.rejects(bundleOf(repository.folder, await repository.commitTree(inside)), { path: `${name}/f` })
  }
  const legal = { '.gitignore': '', '.github/x': '', 'a\\x2db': '', 'line\nbreak': '', 'git~10': '', '...': '' }
  assert.ok(await bundleOf(repository.folder, await repository.commit(legal)))
})

test('trees made by hand with one name twice, out of order or not in UTF-8 are refused', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  const id = await repository.blob('x')
  const folder = await repository.tree([{ mode: '100644', name: 'x', id }])
  const raw = async (entries: [string, string | Buffer, string][]) => {
    const parts = entries.flatMap(([mode, name, oid]) => [
      Buffer.from(`${mode} `),
      Buffer.from(name),
      Buffer.from([0]),
      Buffer.from(oid, 'hex'),
    ])
    return await repository.git(['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'], Buffer.concat(parts))
  }
  const cases: [string, [string, string | Buffer, string][]][] = [
    [
      'order',
      [
        ['100644', 'a', id],
        ['100644', 'a', id],
      ],
    ],
    [
      'order',
      [
        ['100644', 'b', id],
        ['100644', 'a', id],
      ],
    ],
    [
      'order',
      [
        ['120000', 'a', await repository.blob('b')],
        ['40000', 'a', folder],
      ],
    ],
    ['name', [['100644', Buffer.from([0x66, 0xe9]), id]]],
  ]
  for (const [code, entries] of cases) {
    const commit = await repository.commitTree(await raw(entries))
    await assert.rejects(bundleOf(repository.folder, commit), { name: 'BundleRefused', code }, JSON.stringify(entries))
  }
})

test('a link that leads outside is refused with its target', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  const commit = await repository.commit({ 'docs/up': { link: '../../etc/passwd' }, 'docs/ok': { link: '../x' } })
  await assert.rejects(bundleOf(repository.folder, commit), {
    code: 'link',
    message: '"docs/up" is a link that leads outside the repository: to "../../etc/passwd"',
  })
})

test('past its limits a commit is refused', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  const commit = await repository.commit({ a: 'aaaaaaaa', b: 'bbbbbbbb' })
  const bundle = async (limits: BundleLimits) => await bundleOf(repository.folder, commit, limits)
  await assert.rejects(bundle({ bytes: 15, files: 2 }), { code: 'size' })
  await assert.rejects(bundle({ bytes: 16, files: 1 }), { code: 'size' })
  assert.ok(await bundle({ bytes: 16, files: 2 }))
})

test('a commit that git lacks, or whose files it lacks, is said', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  await assert.rejects(bundleOf(repository.folder, 'f'.repeat(40)), { name: 'GitFailed' })
  const commit = await repository.commitTree(
    await repository.tree([{ mode: '100644', name: 'gone', id: '2'.repeat(40) }]),
  )
  await assert.rejects(bundleOf(repository.folder, commit), { code: 'missing-object', path: 'gone' })
})

test('trees that name each other many times are refused before they are walked', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  let id = await repository.tree([])
  for (let level = 0; level < 12; level++) {
    id = await repository.tree([...'abcdefghij'].map((name) => ({ mode: '40000' as const, name, id })))
  }
  const commit = await repository.commitTree(id)
  await assert.rejects(bundleOf(repository.folder, commit), { name: 'BundleRefused', code: 'size' })
})

test('folders inside one another without end are refused', async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  let id = await repository.tree([{ mode: '100644', name: 'x', id: await repository.blob('x') }])
  for (let level = 0; level < 2100; level++) {
    id = await repository.store('tree', Buffer.concat([Buffer.from('40000 a\0'), Buffer.from(id, 'hex')]))
  }
  await assert.rejects(bundleOf(repository.folder, await repository.commitTree(id)), { code: 'size' })
})
