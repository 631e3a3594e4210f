import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkNamedBase, chooseBase, isOperatorBase, NoBase } from '../../service/policy/bases.ts'
import { commitDomain, isTrusted, pullRequestDomain, readable, repositoryOf } from '../../service/policy/domain.ts'

const UV = {
  format: 'uv.lock',
  path: 'uv.lock',
  files: { 'uv.lock': 'version = 1\nrequires-python = ">=3.12"\n' },
} as const
const BASES = { '3.11': 'python:3.11-slim', '3.9': 'python:3.9-slim' }

test('the named base, else the one of the version, else the first', () => {
  assert.equal(chooseBase(BASES, { ...UV }), 'python:3.11-slim')
  assert.equal(chooseBase(BASES, { ...UV, pythonVersion: '3.9' }), 'python:3.9-slim')
  assert.equal(chooseBase(BASES, { ...UV, pythonVersion: '3.9', baseImage: 'own:1' }), 'own:1', 'its Python is checked')
  assert.throws(
    () => chooseBase(BASES, { ...UV, pythonVersion: '3.7' }),
    (error) => error instanceof NoBase && /3\.7/.test(error.message) && /3\.11, 3\.9/.test(error.hint),
  )
})

test('a named base must have the Python that is asked for beside it', () => {
  const named = { ...UV, pythonVersion: '3.1', baseImage: 'own:1' }
  assert.throws(() => checkNamedBase(named, '3.11.2'), {
    name: 'NoBase',
    message: 'python-version: asks for Python 3.1, and the base-image own:1 has 3.11.2',
    hint: 'Give "python-version: 3.11", which mirror_local else takes from the Python that is active; or name a base-image that has Python 3.1, or none.',
  })
  for (const pythonVersion of ['3.11', '3.11.2']) checkNamedBase({ ...named, pythonVersion }, '3.11.2')
  checkNamedBase({ ...UV, pythonVersion: '3.9' }, '3.11.2')
  checkNamedBase({ ...named, format: 'conda-environment' }, '3.11.2')
})

test('an environment that brings its own Python is put on any base, whatever Python was asked for', () => {
  const conda = { format: 'conda-environment', path: 'environment.yml', files: {}, pythonVersion: '3.7' } as const
  assert.equal(chooseBase(BASES, conda), 'python:3.11-slim')
})

test('the first base whose Python the files allow, where nobody asked for one', () => {
  const choose = (requiresPython: string, more = {}) => chooseBase(BASES, { ...UV, requiresPython, ...more })
  assert.equal(choose('>=3.9'), 'python:3.11-slim')
  assert.equal(choose('>=3.9,<3.11'), 'python:3.9-slim')
  assert.equal(choose('>=3.12', { pythonVersion: '3.9' }), 'python:3.9-slim')
  assert.equal(choose('>=3.12', { baseImage: 'own:1' }), 'own:1')
  assert.throws(
    () => choose('>=3.12'),
    (error) =>
      error instanceof NoBase && error.message === 'uv.lock:2: needs Python >=3.12, and the base images have 3.11, 3.9',
  )
})

test('only the operator vouches for bases', () => {
  assert.ok(isOperatorBase(BASES, 'python:3.9-slim'))
  assert.ok(!isOperatorBase(BASES, 'own:1'))
})

test('a fork reads what the repository made, and never the other way', () => {
  const fork = pullRequestDomain('rep_1', 5)
  assert.deepEqual(readable(fork), [fork, 'rep_1'])
  assert.deepEqual(readable('rep_1'), ['rep_1'])
  for (const domain of [fork, commitDomain('rep_1', 'a'.repeat(40))]) {
    assert.equal(repositoryOf(domain), 'rep_1')
    assert.ok(!isTrusted(domain))
  }
  assert.ok(isTrusted('rep_1'))
})
