import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remoteError } from '../../service/source/remote.ts'

test("git's progress is no part of what went wrong", () => {
  const said = [
    'remote: Enumerating objects: 3, done.        ',
    'remote: Counting objects:  33% (1/3)        \rremote: Counting objects: 100% (3/3), done.',
    'Receiving objects:  10% (1/10)\rReceiving objects:  20% (2/10)',
    'remote: the disk is full',
    'fatal: early EOF',
  ]
  const { code, message } = remoteError(said.join('\n'), { url: 'https://git.example.org/octo/one.git' })
  assert.equal(code, 'unreachable')
  assert.match(message, /: remote: the disk is full fatal: early EOF$/)
})
