import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { GitFailed, startGit } from '../../common/git-process.ts'
import { temporaryFolder } from '../support/repositories.ts'

test('a git that waits begins with the argument that it is told, as it is', async (t) => {
  const cwd = await temporaryFolder(t)
  const { child, ended } = startGit(['init', '--quiet'], { cwd, waits: true })
  child.stdout.resume()
  child.stdin.end('a $(touch b); "c" *\n')
  await ended
  assert.deepEqual(await readdir(cwd), ['a $(touch b); "c" *'])
})

test('a git that is told nothing does nothing', async (t) => {
  const cwd = await temporaryFolder(t)
  const { child, ended } = startGit(['init', '--quiet'], { cwd, waits: true })
  child.stdin.end()
  await assert.rejects(ended, GitFailed)
  assert.deepEqual(await readdir(cwd), [])
})
