import assert from 'node:assert/strict'
import { access, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse } from 'yaml'
import { INPUTS } from '../../action/inputs.ts'
import { outputs } from '../../action/report.ts'
import { RunRequest } from '../../common/contract.ts'

const ROOT = new URL('../../', import.meta.url)
const action = parse(await readFile(new URL('action.yml', ROOT), 'utf8'))

test('action.yml declares exactly the inputs that are read and the outputs that are set', () => {
  assert.deepEqual(Object.keys(action.inputs), Object.keys(INPUTS))
  assert.deepEqual(Object.keys(action.outputs), Object.keys(outputs({ run: 'run_1', stages: [] })))
})

test('all of them are described, and what an input is called in the service it is called here', () => {
  for (const each of [...Object.values(action.inputs), ...Object.values(action.outputs)]) {
    assert.ok((each as { description: string }).description.length > 20)
  }
  const own = ['ref', 'extra-paths', 'service-url', 'token']
  for (const name of Object.keys(INPUTS)) assert.ok(own.includes(name) || name in RunRequest.shape, name)
})

test('it runs on node24, and its files are there', async () => {
  assert.deepEqual(action.runs, {
    using: 'node24',
    main: 'dist/main.cjs',
    post: 'dist/post.cjs',
    'post-if': 'always()',
  })
  for (const file of [action.runs.main, action.runs.post]) await access(new URL(file, ROOT))
})
