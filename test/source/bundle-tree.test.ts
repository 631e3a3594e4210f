import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { readTar } from '../../common/read-tar.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { CodeTree } from '../../service/source/bundle-tree.ts'
import { codeTree } from '../support/code-tree.ts'

const FILES = {
  'requirements/prod.txt': 'rich==14.0.0\n',
  'shared/pyproject.toml': '[project]\nname = "shop"\nversion = "1"\n',
  'packages/shop/src/shop.py': 'x = 1\n',
  'packages/shop/README.md': 'Shop\n',
  LICENSE: 'MIT\n',
}
const LINKS = {
  'requirements.txt': 'requirements/prod.txt',
  'all.txt': './requirements.txt',
  'packages/shop/pyproject.toml': '../../shared/pyproject.toml',
  'packages/shop/LICENSE': '../../LICENSE',
  'packages/shop/index.md': 'README.md',
  'packages/shop/common': '../../shared',
  shop: 'packages/shop',
  'packages/top': '..',
  lost: 'nowhere',
  loop: 'loop',
}

/** The entries of a tar: content by path, `-> target` for links, `/` for folders. */
async function listed(tar: AsyncIterable<Buffer>): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { entry, content } of readTar(tar)) {
    if (entry.type === 'directory') found[entry.path] = '/'
    else found[entry.path] = entry.type === 'symlink' ? `-> ${entry.link}` : await text(content)
  }
  return found
}

test('files are read and listed through links, on the way to them too', async () => {
  const tree = await codeTree(FILES, LINKS)
  for (const [path, content] of [
    ['requirements.txt', 'rich==14.0.0\n'],
    ['all.txt', 'rich==14.0.0\n'],
    ['shop/pyproject.toml', FILES['shared/pyproject.toml']],
    ['packages/top/shop/src/shop.py', 'x = 1\n'],
    ['shop/src', undefined],
    ['shop', undefined],
    ['lost', undefined],
    ['loop', undefined],
  ] as const) {
    assert.equal((await tree.read(path))?.toString(), content, path)
    const opened = await tree.open(path)
    assert.equal(opened && (await text(opened)), content, path)
  }
  const paths = await tree.paths()
  for (const path of ['LICENSE', 'requirements.txt', 'all.txt', 'shop/src/shop.py', 'shop/pyproject.toml']) {
    assert.equal(paths.filter((each) => each === path).length, 1, path)
  }
  for (const path of ['shop', 'lost', 'loop', 'shop/common']) assert.ok(!paths.includes(path), path)
})

test('a folder by its link is that folder, with what links bring into it from elsewhere', async () => {
  const tree = await codeTree(FILES, LINKS)
  const project = (at: string) => ({
    [at]: '/',
    [`${at}/src`]: '/',
    [`${at}/src/shop.py`]: 'x = 1\n',
    [`${at}/README.md`]: 'Shop\n',
    [`${at}/index.md`]: '-> README.md',
    [`${at}/pyproject.toml`]: FILES['shared/pyproject.toml'],
    [`${at}/LICENSE`]: 'MIT\n',
    [`${at}/common`]: '/',
    [`${at}/common/pyproject.toml`]: FILES['shared/pyproject.toml'],
  })
  assert.deepEqual(await listed(await tree.tar('shop')), project('shop'))
  assert.deepEqual(await listed(await tree.tar('packages/shop')), { packages: '/', ...project('packages/shop') })
  assert.deepEqual(await listed(await tree.tar('all.txt')), { 'all.txt': 'rich==14.0.0\n' })
  assert.deepEqual(await listed(await tree.tar('lost')), {})
})

test('a hash covers what a link brings in', async () => {
  const hash = async (tree: CodeTree) => await tree.hashFolder('shop')
  const before = await hash(await codeTree(FILES, LINKS))
  assert.equal(await hash(await codeTree({ ...FILES, 'requirements/prod.txt': '' }, LINKS)), before, 'of elsewhere')
  assert.notEqual(await hash(await codeTree({ ...FILES, LICENSE: 'BSD\n' }, LINKS)), before)
  assert.notEqual(await hash(await codeTree(FILES, { ...LINKS, 'packages/shop/LICENSE': 'README.md' })), before)
})

test('an environment file may be a link, and may name projects by links', async () => {
  const tree = await codeTree({ ...FILES, 'requirements/prod.txt': '-e ./shop\n' }, LINKS)
  const code = { paths: () => tree.paths(), read: (path: string) => tree.read(path), hash: async () => undefined }
  const { files } = await loadSpec(code, { interpreter: 'all.txt' })
  assert.deepEqual(files, { 'all.txt': '-e ./shop\n', 'shop/pyproject.toml': FILES['shared/pyproject.toml'] })
})
