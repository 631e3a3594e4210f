import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { loadSpec } from '../../service/interpreter/formats.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { type IndexServer, indexServer, publicIndex } from '../support/index-server.ts'
import { makeSdist } from '../support/package-index.ts'
import { poetryLock } from '../support/poetry.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { uvLock } from '../support/uv-lock.ts'
import { makeWheel, wheelFilename } from '../support/wheels.ts'

/** Packages whose files are not what they were, or whose build fails: every format names them, with the line of the user's file. */

let service: ServiceUnderTest
let project: Project
/** It makes the locks, as people do on their machines. */
let tools: TestBuilder
let server: IndexServer
let listener: Server
const ended: (() => unknown)[] = []
before(async () => {
  listener = createServer((socket) => socket.end('reached')).listen(0, '0.0.0.0')
  await new Promise((resolve) => listener.on('listening', resolve))
  const { port } = listener.address() as { port: number }
  tools = await testBuilder()
  const indexes = {
    ours: [
      wheel('swapped'),
      wheel('gone'),
      wheel('trunk', '', ['branch==1.0']),
      wheel('branch', '', ['broken==1.0']),
      failing('broken', 'raise RuntimeError("no compiler here")'),
    ],
  }
  server = await indexServer({ after: (end: never) => ended.push(end) } as never, indexes, await publicIndex(tools))
  const { hostname } = new URL(server.url('ours'))
  indexes.ours.push(
    failing('calls', `import socket; print(socket.create_connection(("${hostname}", ${port}), 20).recv(9))`),
  )
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_INDEX_URL: server.url('ours') })
  project = await service.project('octo/wood')
})
after(async () => {
  await service?.close()
  listener?.close()
  for (const end of ended) await end()
  await tools?.[Symbol.asyncDispose]()
})

function wheel(name: string, code = '', requires: string[] = []) {
  const spec = { name, version: '1.0', files: { [`${name}.py`]: code }, requires }
  return { filename: wheelFilename(spec), content: makeWheel(spec) }
}

/** A source distribution whose backend does this, and then has made nothing. */
function failing(name: string, code: string) {
  return makeSdist(
    name,
    `def build_wheel(folder, settings=None, metadata=None):\n    ${code}\n    raise SystemExit(1)\n`,
  )
}

type Files = Record<string, string>
const open = () => ({ ...tools.context, network: 'open' as const })
const standard = (name: string) =>
  `[project]\nname = "wood"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["${name}==1.0"]\n`
const poetry = (name: string) =>
  `[tool.poetry]\nname = "wood"\nversion = "1"\ndescription = ""\nauthors = []\npackage-mode = false\n[tool.poetry.dependencies]\npython = "^3.9"\n${name} = "1.0"\n`

/** The line that asks for the package, and the files. */
const FORMATS: [place: RegExp, files: (name: string) => Promise<Files> | Files][] = [
  [/^requirements\.txt:1: /, (name) => ({ 'requirements.txt': `${name}==1.0\n` })],
  [/^pyproject\.toml:5: /, (name) => ({ 'pyproject.toml': standard(name) })],
  [
    /^uv\.lock:\d+: /,
    async (name) => {
      const own = {
        'pyproject.toml': `${standard(name)}[[tool.uv.index]]\nurl = "${server.url('ours')}"\ndefault = true\n`,
      }
      return { ...own, 'uv.lock': await uvLock({ ...tools, context: open() }, own) }
    },
  ],
  [
    /^pyproject\.toml:9: /,
    async (name) => {
      const own = { 'pyproject.toml': poetry(name) }
      return { ...own, 'poetry.lock': await poetryLock(open(), '2.5', own, { index: server.url('ours') }) }
    },
  ],
  [/^pylock\.toml:\d+: /, async (name) => ({ 'pylock.toml': await pylock(name) })],
]

/** As uv writes it. */
async function pylock(name: string): Promise<string> {
  const builder = tools.another({ indexUrl: server.url('ours'), network: 'open' })
  const base = await testBase('3.11')
  const spec = await loadSpec(codeFiles({ 'requirements.txt': `${name}==1.0\n` }), { interpreter: 'requirements.txt' })
  return (await builder.resolve(base, spec, await builder.probe(base, STEP), STEP)).text
}

for (const [place, filesOf] of FORMATS) {
  describe(place.source.replace(/\W+/g, ' ').trim(), () => {
    for (const [name, instead, message, hint] of [
      [
        'swapped',
        wheel('swapped', '# other bytes\n').content,
        /swapped: \S+swapped-1\.0\S+\.whl has sha256 [0-9a-f]{64}, not [0-9a-f]{64}/,
        /^The file was changed after the lock was made, or on its way\. Lock it anew only if you know why/,
      ],
      [
        'gone',
        'gone',
        /gone-1\.0-py3-none-any\.whl[\s\S]*404/,
        /^(?:The index names this file and does not give it: ask for another version|Check that the file is still there)/,
      ],
      ['broken', undefined, /broken: its build failed with exit code \d+:[\s\S]*no compiler here/, /has a wheel/],
      ['calls', undefined, /calls: its build failed with exit code \d+:[\s\S]*No route to host/, /has a wheel/],
    ] as const) {
      test(name, async () => {
        const files = await filesOf(name)
        const filename = `${name}-1.0-py3-none-any.whl`
        if (instead !== undefined) server.instead.set(filename, instead)
        const build = await project.built(await project.build(await project.commit(files)))
        server.instead.delete(filename)
        assert.equal(build.state, 'failed')
        assert.match(build.message ?? '', place)
        assert.match(build.message ?? '', message)
        assert.match(build.hint ?? '', hint)
      })
    }
  })
}

test('a package that no file names is told by what asks for it', async () => {
  const files = { 'requirements.txt': '# wood\ntrunk==1.0\n' }
  const build = await project.built(await project.build(await project.commit(files)))
  const message =
    /^requirements\.txt:2: trunk asks for branch, which asks for broken: its build failed with exit code \d+:[\s\S]*no compiler/
  assert.match(build.message ?? '', message)
  assert.match(build.hint ?? '', /has a wheel/)
})
