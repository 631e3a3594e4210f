import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigInvalid, loadConfig } from '../service/config.ts'

test('without settings everything is embedded and on the loopback', () => {
  const config = loadConfig({})
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8470 })
  assert.match(config.data, /\.meadow$/)
  assert.equal(config.tokens, undefined)
  assert.equal(config.gitUrl.href, 'https://github.com/')
  assert.deepEqual(Object.keys(config.bases), ['3.11', '3.9', '3.13'])
  assert.equal(config.builderBase, 'python:3.11-slim-bookworm')
})

test('sizes, times, tokens and addresses are read', () => {
  const config = loadConfig({
    MEADOW_LISTEN: '[::1]:1234',
    MEADOW_RUN_MEMORY: '1.5GiB',
    MEADOW_RUN_TIMEOUT: '90s',
    MEADOW_STANDBYS: '0',
    MEADOW_TOKEN: '[{"name": "ci", "token": "0123456789abcdef", "repositories": ["o/*"]}]',
    MEADOW_BASES: 'python:3.9-slim-bullseye,registry.example.org:5000/python:3.12-slim',
    MEADOW_ENGINE: 'unix:///run/other.sock',
    SSL_CERT_FILE: '/etc/ca.pem',
  })
  assert.deepEqual(config.listen, { host: '::1', port: 1234 })
  assert.equal(config.run.memory, 1.5 * 2 ** 30)
  assert.equal(config.run.timeout, 90_000)
  assert.equal(config.standby.perImage, 0)
  assert.deepEqual(config.tokens, [
    { name: 'ci', secret: '0123456789abcdef', repositories: ['o/*'], permissions: ['run'] },
  ])
  assert.equal(config.builderBase, 'registry.example.org:5000/python:3.12-slim')
  assert.equal(config.engineSocket, '/run/other.sock')
  assert.equal(config.caBundle, '/etc/ca.pem')
})

test('all that is wrong is said at once, by its name', () => {
  const wrong = {
    MEADOW_LISTEN: 'everywhere',
    MEADOW_TOKEN: 'short',
    MEADOW_GIT_URL: 'ssh://git@example.org',
    MEADOW_PUBLIC_URL: 'https://user:password@example.org',
    MEADOW_RUN_MEMORY: 'lots',
    MEADOW_RUN_CPUS: '0',
    MEADOW_BASES: 'python:3.9-slim-bullseye',
    MEADOW_RUN_MEMROY: '1GiB',
  }
  assert.throws(
    () => loadConfig(wrong),
    (error) => {
      assert.ok(error instanceof ConfigInvalid)
      for (const name of Object.keys(wrong)) assert.match(error.message, new RegExp(`  ${name}: `))
      assert.doesNotMatch(error.message, /password@/)
      return true
    },
  )
})
