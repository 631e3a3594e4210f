import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import type { Builder } from '../../service/builder/builder.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Artifact } from '../../service/interpreter/lock.ts'
import { STEP } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { codeTree } from '../support/code-tree.ts'
import { type IndexServer, indexServer, publicIndex } from '../support/index-server.ts'
import { makeSdist } from '../support/package-index.ts'
import { poetryLock } from '../support/poetry.ts'
import { refusal, resolving } from '../support/resolving.ts'
import { uvLock } from '../support/uv-lock.ts'
import { makeWheel, wheelFilename } from '../support/wheels.ts'

/** Two indexes that have packages of the same names: which one is asked, and whose files are taken. */

const { parts, base, probe } = await resolving()
let builder: Builder
let server: IndexServer
/** What everybody has. */
let everybody: string
const ended: (() => unknown)[] = []
before(async () => {
  server = await indexServer({ after: (end: never) => ended.push(end) } as never, {
    private: [wheel('acme', '1.0'), wheel('idna', '0.1'), sdist('brick')],
    public: [wheel('acme', '9.0'), wheel('other', '1.0', ['acme']), wheel('idna', '2.0'), sdist('tile')],
  })
  // Containers of other classes do not reach this machine.
  builder = parts.another({ indexUrl: server.url('public'), network: 'open' })
  everybody = await publicIndex(parts)
})
after(async () => {
  for (const end of ended) await end()
})

function wheel(name: string, version: string, requires: string[] = []) {
  const spec = { name, version, requires }
  return { filename: wheelFilename(spec), content: makeWheel(spec) }
}

/** Its metadata is known only once it is built. */
function sdist(name: string) {
  const backend = [
    'import os',
    'def prepare_metadata_for_build_wheel(folder, settings=None):',
    `    at = "${name}-1.0.dist-info"`,
    '    os.mkdir(os.path.join(folder, at))',
    '    with open(os.path.join(folder, at, "METADATA"), "w") as file:',
    `        file.write("Metadata-Version: 2.1\\nName: ${name}\\nVersion: 1.0\\n")`,
    '    return at',
    'def build_wheel(folder, settings=None, metadata=None): raise SystemExit(1)',
  ]
  return makeSdist(name, `${backend.join('\n')}\n`)
}

async function resolve(files: Record<string, string>, interpreter: string, request: Partial<InterpreterRequest> = {}) {
  const spec = await loadSpec(codeFiles(files), { ...request, interpreter })
  const { artifacts } = await builder.resolve(base, spec, probe, { ...STEP, code: await codeTree(files) })
  return artifacts
}

/** `acme 1.0 private` */
const origins = (artifacts: Artifact[]) =>
  artifacts.map(({ name, version, url = '' }) => {
    const [, index] = /^http:\/\/[^/]+\/(\w+)\//.exec(url) ?? []
    return `${name} ${version} ${index ?? 'everybody'}`
  })
const project = (dependencies: string[], more: string) =>
  `[project]\nname = "wood"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ${JSON.stringify(dependencies)}\n${more}`
const index = (name: string, more = '') => `[[tool.uv.index]]\nname = "${name}"\nurl = "${server.url(name)}"\n${more}`

describe('requirements.txt', () => {
  test('the extra index wins, though another has a later version, and for what others need of it too', async () => {
    const text = `--index-url ${server.url('public')}\n--extra-index-url ${server.url('private')}\nother\n`
    const artifacts = await resolve({ 'requirements.txt': text }, 'requirements.txt')
    assert.deepEqual(origins(artifacts), ['acme 1.0 private', 'other 1.0 public'])
    assert.deepEqual(
      artifacts.map(({ index }) => index),
      [undefined, undefined],
    )
  })

  test('it wins over the index that everybody has', async () => {
    const text = `--index-url ${everybody}\n--extra-index-url ${server.url('private')}\nidna\nsix==1.16.0\n`
    const artifacts = await resolve({ 'requirements.txt': text }, 'requirements.txt')
    assert.deepEqual(origins(artifacts), ['idna 0.1 private', 'six 1.16.0 everybody'])
  })

  test('a version that only the other one has is not taken from there', async () => {
    const text = `--extra-index-url ${server.url('private')}\nacme==9.0\n`
    const error = await refusal(resolve({ 'requirements.txt': text }, 'requirements.txt'))
    assert.match(error.message, /^requirements\.txt:2: [\s\S]*acme[\s\S]*9\.0/)
    assert.match(error.hint, /^A package comes from the first index that has its name.* "explicit = true"/)
  })

  test('no other index is asked what else there is of a source', async () => {
    server.asked.length = 0
    const text = `--extra-index-url ${server.url('private')}\nbrick\ntile\n`
    const artifacts = await resolve({ 'requirements.txt': text }, 'requirements.txt')
    assert.deepEqual(
      artifacts.map(({ name, kind }) => [name, kind]),
      [
        ['brick', 'sdist'],
        ['tile', 'sdist'],
      ],
    )
    assert.ok(!server.asked.includes('public/brick'), server.asked.join())
  })
})

describe('pyproject.toml alone', () => {
  test('an index of the project wins; one that is explicit counts only for what names it', async () => {
    const first = project(['other', 'acme'], index('private'))
    assert.deepEqual(origins(await resolve({ 'pyproject.toml': first }, 'pyproject.toml')), [
      'acme 1.0 private',
      'other 1.0 public',
    ])
    const explicit = project(['acme', 'idna==3.7'], index('private', 'explicit = true\n'))
    const standard = `${explicit}[[tool.uv.index]]\nurl = "${everybody}"\ndefault = true\n`
    const named = `${standard}[tool.uv.sources]\nacme = { index = "private" }\n`
    const artifacts = await resolve({ 'pyproject.toml': named }, 'pyproject.toml')
    assert.deepEqual(origins(artifacts), ['acme 1.0 private', 'idna 3.7 everybody'])
    // What is another's must not be taken for the default index's, whose files all may share.
    assert.deepEqual(
      artifacts.map(({ index }) => index),
      [undefined, undefined],
    )
  })

  test('no other index is asked what else there is of a source', async () => {
    server.asked.length = 0
    const text = project(['brick'], index('private', 'explicit = true\n'))
    const named = `${text}[tool.uv.sources]\nbrick = { index = "private" }\n`
    const artifacts = await resolve({ 'pyproject.toml': named }, 'pyproject.toml')
    assert.deepEqual(origins(artifacts), ['brick 1.0 private'])
    assert.ok(!server.asked.includes('public/brick'), server.asked.join())
  })
})

test('uv.lock: each package from the index that it was locked from', async () => {
  const named = '[tool.uv.sources]\nacme = { index = "private" }\n'
  const standard = `[[tool.uv.index]]\nurl = "${everybody}"\ndefault = true\n`
  const files = {
    'pyproject.toml': project(['acme', 'idna==3.7'], index('private', 'explicit = true\n') + standard + named),
  }
  const open = { ...parts, context: { ...parts.context, network: 'open' as const } }
  const artifacts = await resolve({ ...files, 'uv.lock': await uvLock(open, files) }, 'uv.lock')
  assert.deepEqual(origins(artifacts), ['acme 1.0 private', 'idna 3.7 everybody'])
  assert.deepEqual(
    artifacts.map(({ index }) => index),
    [server.url('private'), 'default'],
  )
})

describe('poetry.lock: each package from the source that it was locked from', () => {
  for (const [version, priority, expected] of [
    ['1.8', 'primary', ['acme 1.0 private', 'idna 0.1 private']],
    // In the words of its time, which later versions refuse.
    ['1.8', 'default', ['acme 1.0 private', 'idna 0.1 private']],
    ['1.8', 'secondary', ['acme 1.0 private', 'idna 2.0 public']],
    ['2.5', 'primary', ['acme 1.0 private', 'idna 0.1 private']],
    ['2.5', 'supplemental', ['acme 1.0 private', 'idna 2.0 public']],
    ['2.5', 'explicit', ['acme 1.0 private', 'idna 2.0 public']],
  ] as const) {
    test(`poetry ${version}, ${priority}`, async () => {
      const text = `[tool.poetry]\nname = "wood"\nversion = "1"\ndescription = ""\nauthors = ["A <a@example.org>"]\npackage-mode = false\n
[tool.poetry.dependencies]\npython = "^3.9"\nacme = { version = "*", source = "private" }\nidna = "*"\n
[[tool.poetry.source]]\nname = "private"\nurl = "${server.url('private')}"\npriority = "${priority}"\n`
      const files = { 'pyproject.toml': text }
      const lock = await poetryLock({ ...parts.context, network: 'open' }, version, files, {
        index: server.url('public'),
      })
      const artifacts = await resolve({ ...files, 'poetry.lock': lock }, 'poetry.lock')
      assert.deepEqual(origins(artifacts), expected)
      assert.equal(artifacts[0]?.index, server.url('private'))
      // Where the service knows nothing of that host, nobody asks it.
      const spec = await loadSpec(codeFiles({ ...files, 'poetry.lock': lock }), { interpreter: 'poetry.lock' })
      await assert.rejects(parts.builder.resolve(base, spec, probe, STEP), {
        message: /^pyproject\.toml:1[0-9]: the index at \S+ is not one of https:/,
      })
    })
  }
})
