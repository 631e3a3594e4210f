import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestBuilder, testBuilder } from '../support/builder.ts'
import { type IndexServer, indexServer, publicIndex } from '../support/index-server.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { uvLock } from '../support/uv-lock.ts'
import { makeWheel, wheelFilename } from '../support/wheels.ts'

/** A private index of the operator's beside the one that everybody has, from a push to a run. */

let service: ServiceUnderTest
let project: Project
let tools: TestBuilder
let server: IndexServer
let everybody: string
const ended: (() => unknown)[] = []
before(async () => {
  tools = await testBuilder()
  everybody = await publicIndex(tools)
  server = await indexServer({ after: (end: never) => ended.push(end) } as never, {
    private: [wheel('idna', '0.1', 'WHERE = "private"\n'), wheel('acme', '1.0', 'import idna\n', ['idna'])],
  })
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_INDEX_URL: server.url('private') })
  project = await service.project('octo/wood')
})
after(async () => {
  await service?.close()
  for (const end of ended) await end()
  await tools?.[Symbol.asyncDispose]()
})

function wheel(name: string, version: string, code: string, requires: string[] = []) {
  const spec = { name, version, requires, files: { [`${name}.py`]: code } }
  return { filename: wheelFilename(spec), content: makeWheel(spec) }
}

async function ran(files: Record<string, string>): Promise<string> {
  const args = ['python', '-c', 'import acme, idna, six; print(idna.WHERE, six.__version__)']
  const { run, stdout, stderr } = await project.ran(await project.commit(files), { args })
  assert.equal(run.outcome, 'ok', `${run.message} ${stderr}`)
  return stdout.toString()
}

test('requirements.txt: the private index wins where both have a package', async () => {
  const text = `--index-url ${everybody}\n--extra-index-url ${server.url('private')}\nacme\nidna\nsix==1.16.0\n`
  assert.equal(await ran({ 'requirements.txt': text }), 'private 1.16.0\n')
})

test('uv.lock: each package from its own index', async () => {
  const index = (name: string, url: string, more: string) =>
    `[[tool.uv.index]]\nname = "${name}"\nurl = "${url}"\n${more}\n`
  const files = {
    'pyproject.toml': [
      '[project]\nname = "wood"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["acme", "idna", "six==1.16.0"]\n',
      '[tool.uv.sources]\nacme = { index = "ours" }\nidna = { index = "ours" }\n',
      index('ours', server.url('private'), 'explicit = true'),
      index('everybody', everybody, 'default = true'),
    ].join(''),
  }
  const open = { ...tools, context: { ...tools.context, network: 'open' as const } }
  assert.equal(await ran({ ...files, 'uv.lock': await uvLock(open, files) }), 'private 1.16.0\n')
})

test('a package that the private index does not have is not looked for elsewhere', async () => {
  const build = await project.built(await project.build(await project.commit({ 'requirements.txt': 'six==1.16.0\n' })))
  assert.equal(build.state, 'failed')
  assert.match(build.message ?? '', /^requirements\.txt:1: [\s\S]*six was not found in the package registry/)
})
