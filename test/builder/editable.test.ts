import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { BuildFailed, type BuildSource, NotEditable } from '../../service/builder/builder.ts'
import { buildSystem } from '../../service/interpreter/build-system.ts'
import type { Artifact } from '../../service/interpreter/lock.ts'
import type { PythonVersion } from '../support/bases.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'
import { tarOfFiles } from '../support/tar-of-files.ts'
import { zipTexts } from '../support/zip-texts.ts'

let parts: TestBuilder
before(async () => {
  parts = await testBuilder()
})
after(() => parts[Symbol.asyncDispose]())

type Files = Record<string, string>

/** The text files of the wheel that a project gives. */
async function built(
  files: Files,
  changes: Partial<Artifact> = {},
  python: PythonVersion = '3.11',
  report = STEP.report,
) {
  const base = await testBase(python)
  const probe = await parts.builder.probe(base, STEP)
  const artifact: Artifact = { name: 'demo', version: '1.0', kind: 'directory', path: '', filename: 'demo', ...changes }
  const pyproject = [artifact.path, 'pyproject.toml'].filter(Boolean).join('/')
  const source: BuildSource = { tree: Readable.from([tarOfFiles(files)]), version: '0.0.0+gabc' }
  if (artifact.editable) source.system = buildSystem(files[pyproject], pyproject)
  const { filename, bytes } = await parts.builder.buildWheel(base, probe, { artifact, source }, { ...STEP, report })
  const wheel = join(parts.folder, filename)
  await writeFile(wheel, await buffer(bytes))
  return { filename, texts: zipTexts(wheel) }
}

const EDITABLE = { editable: true } as const

function pyproject(requires: string, backend: string, more = '', version = 'version = "1.0"'): string {
  return `[build-system]\nrequires = ["${requires}"]\nbuild-backend = "${backend}"\n[project]\nname = "demo"\n${version}\n${more}`
}

const SETUPTOOLS = pyproject('setuptools', 'setuptools.build_meta')
const ANSWER = 'ANSWER = 42\n'

describe('an editable wheel points into /workspace', () => {
  for (const [backend, files, path] of [
    ['setuptools, src', { 'pyproject.toml': SETUPTOOLS, 'src/demo/__init__.py': ANSWER }, '/workspace/src'],
    [
      'setup.py alone',
      {
        'setup.py': 'from setuptools import setup\nsetup(name="demo", version="1.0", packages=["demo"])',
        'demo/__init__.py': ANSWER,
      },
      '/workspace',
    ],
    [
      'hatchling',
      { 'pyproject.toml': pyproject('hatchling', 'hatchling.build'), 'src/demo/__init__.py': ANSWER },
      '/workspace/src',
    ],
    [
      'flit',
      {
        'pyproject.toml': pyproject('flit_core', 'flit_core.buildapi', 'description = "d"'),
        'demo/__init__.py': ANSWER,
      },
      '/workspace',
    ],
    [
      'poetry',
      { 'pyproject.toml': pyproject('poetry-core>=2', 'poetry.core.masonry.api'), 'src/demo/__init__.py': ANSWER },
      '/workspace/src',
    ],
  ] as const) {
    test(backend, async () => {
      const { texts } = await built(files, EDITABLE)
      const pointers = [...texts].filter(([name]) => !name.includes('/')).map(([, text]) => text)
      assert.ok(
        pointers.some((text) => text.includes(path)),
        JSON.stringify([...texts]),
      )
      assert.ok(![...texts.values()].some((text) => text.includes('ANSWER')), 'it holds code')
    })
  }

  test('in a folder of the code, on the oldest Python', async () => {
    const files = { 'sub/pyproject.toml': SETUPTOOLS, 'sub/src/demo/__init__.py': ANSWER }
    const { texts } = await built(files, { ...EDITABLE, path: 'sub' }, '3.9')
    assert.ok([...texts.values()].some((text) => text.includes('/workspace/sub/src')))
  })

  test('a version from git is that of the commit; the module that the build writes it to goes with the wheel', async () => {
    const scm = '[tool.setuptools_scm]\nversion_file = "src/demo/_version.py"\n'
    const files = {
      'pyproject.toml': pyproject(
        'setuptools", "setuptools-scm',
        'setuptools.build_meta',
        scm,
        'dynamic = ["version"]',
      ),
      'src/demo/__init__.py': ANSWER,
    }
    const { filename, texts } = await built(files, EDITABLE)
    assert.match(filename, /^demo-0\.0\.0\+gabc-/)
    assert.match(texts.get('_meadow_generated_demo/src/demo/_version.py') ?? '', /version = '0\.0\.0\+gabc'/)
    assert.equal(texts.get('_meadow_generated_demo.pth'), 'import _meadow_generated_demo\n')
  })
})

/** A backend in the project that makes what it is told to. */
function own(body: string): Files {
  const backend = `import os, zipfile
def build_editable(folder, settings=None, metadata=None):
    name = "demo-1.0-py3-none-any.whl"
    put = zipfile.ZipFile(os.path.join(folder, name), "w").writestr
    put("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n")
    ${body}
    return name
`
  const system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
  return { 'pyproject.toml': system, 'backend.py': backend }
}

describe('an editable wheel that would not work in a run is refused with the way out', () => {
  for (const [what, body, message] of [
    [
      'writes a compiled file into the code',
      'open("demo.cpython-311-x86_64-linux-gnu.so", "w")',
      /writes demo\.cpython-311.*\.so into the code/,
    ],
    ['writes other code than its version', 'open("made.py", "w").write("X = 1")', /writes made\.py into the code/],
    ['holds a compiled file', 'put("demo.abi3.so", b"x")', /compiles demo\.abi3\.so/],
    ['points elsewhere', 'put("demo.pth", "/usr/share/demo")', /points to \/usr\/share\/demo/],
    ['points to its own temporary files', 'put("demo.py", repr(folder))', /points to \/tmp\//],
  ] as const) {
    test(what, async () => {
      await assert.rejects(built(own(body), EDITABLE), (error) => {
        assert.ok(error instanceof NotEditable, String(error))
        assert.match(error.message, message)
        assert.match(error.hint, /leave the -e/)
        return true
      })
    })
  }

  test('a backend without editable installs', async () => {
    const files = { ...own(''), 'backend.py': 'def build_wheel(*_): pass' }
    await assert.rejects(built(files, EDITABLE), /backend makes no editable installs/)
  })
})

test('a project that is not editable is built to a wheel of its files', async () => {
  const files = { 'sub/pyproject.toml': SETUPTOOLS, 'sub/src/demo/__init__.py': ANSWER }
  const { texts } = await built(files, { path: 'sub' })
  assert.equal(texts.get('demo/__init__.py'), ANSWER)
  const vcs = await built(files, { kind: 'vcs', subdirectory: 'sub' })
  assert.equal(vcs.texts.get('demo/__init__.py'), ANSWER)
})

test('a build that tries to reach the network where it may not, is told with the end of its log', async () => {
  const builder = parts.another({ network: 'none' })
  const base = await testBase('3.11')
  const body = 'import urllib.request; urllib.request.urlopen("https://example.org")'
  const source = { tree: Readable.from([tarOfFiles(own(body))]), system: buildSystem(own(body)['pyproject.toml'], '') }
  const artifact: Artifact = {
    name: 'demo',
    version: '1',
    kind: 'directory',
    path: '',
    filename: 'demo',
    editable: true,
  }
  const probe = await builder.probe(base, STEP)
  await assert.rejects(builder.buildWheel(base, probe, { artifact, source }, STEP), (error) => {
    assert.ok(error instanceof BuildFailed, String(error))
    assert.match(error.message, /^demo: its build failed with exit code 1:[\s\S]*urlopen error/)
    return true
  })
})
