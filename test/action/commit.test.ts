import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { findCommit } from '../../action/commit.ts'
import type { WorkflowRun } from '../../action/event.ts'
import { Checkout } from '../../client/deployment/checkout.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'

const SHA = 'a'.repeat(40)
const HEAD = 'b'.repeat(40)
const MERGE = 'c'.repeat(40)
const push: WorkflowRun = {
  event: 'push',
  repository: 'octo/garden',
  sha: SHA,
  ref: 'refs/heads/main',
  id: '1',
  workspace: '/nowhere',
  pullRequest: undefined,
}
const pull: WorkflowRun = {
  ...push,
  event: 'pull_request',
  sha: MERGE,
  ref: 'refs/pull/5/merge',
  pullRequest: { number: 5, head: HEAD, merge: MERGE },
}
const target: WorkflowRun = { ...pull, event: 'pull_request_target', sha: SHA, ref: 'refs/heads/main' }
const find = async (run: WorkflowRun, ref?: string, repository = 'octo/garden', checkout?: Checkout) =>
  await findCommit({ ref, repository }, run, { checkout, ask: async (name) => `asked for ${name}` })

test('without a ref, the commit of the workflow run', async () => {
  assert.deepEqual(await find(push), { commit: SHA })
  assert.deepEqual(await find(push, 'refs/heads/main', 'Octo/Garden'), { commit: SHA })
  assert.deepEqual(await find(pull), { commit: MERGE, pullRequest: 5 })
  assert.deepEqual(await find(target), { commit: SHA }, "the base's own code")
})

test('head and merge, by name or by their digits, are of the pull request', async () => {
  assert.deepEqual(await find(pull, 'head'), { commit: HEAD, pullRequest: 5 })
  assert.deepEqual(await find(pull, 'merge'), { commit: MERGE, pullRequest: 5 })
  assert.deepEqual(await find(target, 'head'), { commit: HEAD, pullRequest: 5 })
  assert.deepEqual(await find(pull, HEAD.toUpperCase()), { commit: HEAD, pullRequest: 5 })
  assert.deepEqual(await find(pull, SHA), { commit: SHA })
  const conflicts = { ...target, pullRequest: { number: 5, head: HEAD, merge: undefined } }
  await assert.rejects(find(conflicts, 'merge'), { name: 'RefUnknown', hint: /conflicts/ })
  await assert.rejects(find(push, 'head'), { message: /^ref: "head" has a meaning only/, hint: /refs\/heads\/head/ })
})

test('of another repository, the service says what is meant: a branch, or its default one', async () => {
  assert.deepEqual(await find(pull, undefined, 'octo/other'), { commit: 'asked for HEAD' })
  assert.deepEqual(await find(pull, 'v1', 'octo/other'), { commit: 'asked for v1' })
  await assert.rejects(find(pull, 'head', 'octo/other'), { name: 'RefUnknown' })
  assert.deepEqual(await find(pull, HEAD, 'octo/other'), { commit: HEAD })
})

test('branches, tags and short names are looked up in the checkout', async (t) => {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'origin'))
  const main = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const side = await origin.commit({ a: '2' }, { ref: 'refs/heads/side/branch' })
  await origin.git(['tag', '-a', '-m', 'x', 'v1', side])
  await promisify(execFile)('git', ['clone', '--quiet', origin.folder, join(folder, 'work')])
  const checkout = new Checkout(join(folder, 'work'))
  for (const [ref, commit] of [
    ['main', main],
    [main.slice(0, 9), main],
    ['side/branch', side],
    ['v1', side],
    ['refs/tags/v1', side],
  ] as const) {
    assert.deepEqual(await find(push, ref, 'octo/garden', checkout), { commit }, ref)
  }
  for (const ref of ['nothing', '--all', '-h', 'main:a', '']) {
    const asked = { commit: `asked for ${ref}` }
    assert.deepEqual(await find(push, ref, 'octo/garden', checkout), asked, ref)
  }
  assert.deepEqual(await find(push, 'main', 'octo/garden', new Checkout(folder)), { commit: 'asked for main' })
  // A branch of another repository is not looked up in a checkout of this one.
  assert.deepEqual(await find(push, 'main', 'octo/other', checkout), { commit: 'asked for main' })
  const remote = ['-C', checkout.folder, 'remote', 'set-url', 'origin', 'git@example.org:Octo/Other.git']
  await promisify(execFile)('git', remote)
  assert.deepEqual(await find(push, 'main', 'octo/other', checkout), { commit: main })
})
