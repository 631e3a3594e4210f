import assert from 'node:assert/strict'
import { test } from 'node:test'
import { importablePlaces, projectFiles } from '../../service/interpreter/project-files.ts'
import { codeFiles } from '../support/code-files.ts'

const FILES = [
  'CHANGES.md',
  'VERSION',
  'base.txt.bak',
  'data/base.csv',
  'docs/requirements.txt',
  'requirements/base.txt',
  'requirements/dev.txt',
  'shop/__init__.py',
  'shop/version.py',
  'shop/api/version.py',
]

/** The files besides itself that count for a project whose setup.py has this line. */
async function readBy(line: string, folder = ''): Promise<string[]> {
  const at = (path: string) => (folder === '' ? path : `${folder}/${path}`)
  const files = { ...Object.fromEntries(FILES.map((path) => [at(path), ''])), [at('setup.py')]: line }
  const found = await projectFiles(codeFiles(files), folder)
  return found.filter((path) => path !== at('setup.py'))
}

test('what a setup.py reads, however it spells the path', async () => {
  for (const [line, files] of [
    ['open("requirements/base.txt")', ['requirements/base.txt']],
    ['open(os.path.join(here, "requirements", "base.txt"))', ['requirements/base.txt']],
    ["(Path(__file__).parent / 'requirements' / 'dev.txt').read_text()", ['requirements/dev.txt']],
    ['open(here + "/requirements/dev.txt")', ['requirements/dev.txt']],
    ['open(f"requirements/{name}.txt")', ['requirements/base.txt', 'requirements/dev.txt']],
    ['open("requirements/%s.txt" % name)', ['requirements/base.txt', 'requirements/dev.txt']],
    ['open("requirements/" + name + ".txt")', ['requirements/base.txt', 'requirements/dev.txt']],
    ['glob("requirements/d*.txt")', ['requirements/dev.txt']],
    ['exec(open(os.path.join("shop", "version.py")).read())', ['shop/version.py']],
    ['read("shop", "__init__.py")', ['shop/__init__.py']],
    ['read("VERSION")', ['VERSION']],
    ['setup(name="shop", packages=find_packages(exclude=["tests*", "*"]))', []],
    ['setup(package_data={"shop": ["base.csv"]})', []],
  ] as const) {
    assert.deepEqual(await readBy(line), files, line)
  }
  const nested = await readBy('open(os.path.join(here, "requirements", "base.txt"))', 'libs/shop')
  assert.deepEqual(nested, ['libs/shop/requirements/base.txt'])
})

test('where the modules of a project are: new ones in a package change nothing', () => {
  const paths = ['shop/__init__.py', 'shop/api/__init__.py', 'shop/api/v1.py', 'tool.py', 'src/cli.py', 'README.md']
  const places = ['shop', 'src/cli.py', 'tool.py']
  assert.deepEqual(importablePlaces(paths, ''), places)
  assert.deepEqual(importablePlaces([...paths, 'shop/web/__init__.py', 'shop/new.py'], ''), places)
  assert.deepEqual(importablePlaces([...paths, 'conf/__init__.py'], ''), ['conf', ...places])
  assert.deepEqual(importablePlaces([...paths, 'company/store/a.py'], ''), ['company/store', ...places], 'a namespace')
  assert.deepEqual(importablePlaces(['a/src/x/__init__.py', 'b/y.py'], 'a'), ['src/x'])
})
