import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BaseNameInvalid, parseBaseName } from '../../service/registry/base-name.ts'

const HUB = 'registry-1.docker.io'
const digest = `sha256:${'a'.repeat(64)}`

test('container images may be in any registry', () => {
  const parse = (name: string) => parseBaseName(`docker://${name}`, HUB)
  assert.deepEqual(parse('registry.example.org/team/app:1.0'), {
    ...{ host: 'registry.example.org', repository: 'team/app', reference: '1.0' },
  })
  assert.deepEqual(parse(`localhost:5000/app@${digest}`), {
    ...{ host: 'localhost:5000', repository: 'app', reference: digest },
  })
  assert.deepEqual(parse('python:3.11'), { repository: 'library/python', reference: '3.11' })
  assert.deepEqual(parse('docker.io/team/app'), { repository: 'team/app', reference: 'latest' })
  assert.deepEqual(parseBaseName('docker://docker.io/python:3.11', 'registry.example.org'), {
    ...{ host: HUB, repository: 'library/python', reference: '3.11' },
  })
})

test('names that are none, and what belongs to repositories of this service', () => {
  for (const name of ['', 'Team/app', 'a b', 'x/../y', 'app:', 'app@sha256:1', 'e_x.org/app', 'u:p@h.org/app', '//x']) {
    assert.throws(() => parseBaseName(`docker://${name}`, HUB), BaseNameInvalid, name)
  }
  for (const name of [`meadow/rep_1@${digest}`, `docker://meadow/rep_1@${digest}`]) {
    assert.throws(() => parseBaseName(name, HUB), /belong to their repositories/)
  }
})
