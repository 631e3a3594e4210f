import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { findCommit } from '../../action/commit.ts'
import type { WorkflowRun } from '../../action/event.ts'
import { Checkout } from '../../client/deployment/checkout.ts'
import { ServiceRefused } from '../../client/errors.ts'
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
const find = async (run: WorkflowRun, ref?: string, repository = 'octo/garden') =>
  await findCommit({ ref, repository }, run, { ask: async (name) => `asked for ${name}`, say: assert.fail })

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

test('the service is asked for branches and tags, and the checkout where the service does not know, which is said', async (t) => {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'origin'))
  const main = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const old = await origin.commit({ a: '2' }, { ref: 'refs/heads/side/branch' })
  await origin.git(['tag', '-a', '-m', 'x', 'v1', old])
  await promisify(execFile)('git', ['clone', '--quiet', origin.folder, join(folder, 'work')])
  const checkout = new Checkout(join(folder, 'work'))
  const side = await origin.commit({ a: '3' }, { ref: 'refs/heads/side/branch' })

  const said: string[] = []
  let fault: string | undefined
  const ask = async (ref: string) => {
    const there = await origin.git(['for-each-ref', '--format=%(objectname)', `refs/heads/${ref}`]).catch(() => '')
    if (fault === undefined && there !== '') return there
    throw new ServiceRefused(404, fault ?? 'ref-not-found', `no ${ref}`, '')
  }
  const find = async (ref: string, repository = 'octo/garden', here = checkout) =>
    (await findCommit({ ref, repository }, push, { checkout: here, ask, say: (line) => said.push(line) })).commit

  assert.equal(await find('side/branch'), side, 'what the git host has now')
  assert.deepEqual(said, [])
  assert.equal(await find(main.slice(0, 9)), main)
  assert.deepEqual(said.splice(0), [`ref: ${main.slice(0, 9)} is short for ${main} in the checkout.`])
  await origin.git(['update-ref', '-d', 'refs/heads/side/branch'])
  await assert.rejects(find('side/branch'), { code: 'ref-not-found' }, 'it is no more, whatever the checkout has')

  for (fault of ['needs-credentials', 'repository-not-found', 'unreachable', 'failed']) {
    for (const [ref, commit] of [
      ['main', main],
      [main.slice(0, 9), main],
      ['side/branch', old],
      ['v1', old],
      ['refs/tags/v1', old],
    ] as const) {
      assert.equal(await find(ref), commit, ref)
      assert.match(
        said.splice(0).join('\n'),
        /^ref: the checkout was asked for [^\n]+ newer at the git host: no [^\n]+$/,
      )
    }
    for (const ref of ['nothing', '--all', '-h', 'main:a', '']) await assert.rejects(find(ref), { code: fault }, ref)
    await assert.rejects(find('main', 'octo/garden', new Checkout(folder)), { code: fault })
    await assert.rejects(find('main', 'octo/other'), { code: fault }, 'a checkout of another repository')
  }
  for (fault of ['forbidden', 'ref-malformed']) await assert.rejects(find('main'), { code: fault })

  fault = 'unreachable'
  const remote = ['-C', checkout.folder, 'remote', 'set-url', 'origin', 'git@example.org:Octo/Other.git']
  await promisify(execFile)('git', remote)
  assert.equal(await find('main', 'octo/other'), main)
})
