import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { DeliveryMalformed, interpret } from '../../service/github/deliveries.ts'

const examples: { name: string; examples: unknown[] }[] = createRequire(import.meta.url)('@octokit/webhooks-examples')

const push = {
  ref: 'refs/heads/feature/x',
  before: '0'.repeat(40),
  after: 'a'.repeat(40),
  deleted: false,
  repository: { id: 7, full_name: 'octo/garden', default_branch: 'main' },
}

test('a push to a branch asks for a prebuild', () => {
  assert.deepEqual(interpret('push', push), {
    act: 'prebuild',
    githubId: 7,
    push: {
      name: 'octo/garden',
      ref: 'refs/heads/feature/x',
      commit: 'a'.repeat(40),
      before: '0'.repeat(40),
      branch: 'feature/x',
      defaultBranch: 'main',
    },
  })
})

test('what asks for nothing says why', () => {
  const did = (event: string, payload: unknown) => {
    const read = interpret(event, payload)
    return read.act === 'nothing' ? read.did : read.act
  }
  assert.equal(did('ping', {}), 'ping')
  assert.equal(did('issues', { action: 'opened' }), 'ignored: event issues')
  assert.equal(
    did('push', { ...push, deleted: true, after: '0'.repeat(40) }),
    'ignored: refs/heads/feature/x was deleted',
  )
  assert.equal(did('push', { ...push, ref: 'refs/tags/v1' }), 'ignored: refs/tags/v1 is no branch')
})

test('every example of GitHub is understood', () => {
  const acts = new Map<string, number>()
  for (const { name, examples: payloads } of examples) {
    for (const payload of payloads) {
      const { act } = interpret(name, payload)
      acts.set(act, (acts.get(act) ?? 0) + 1)
    }
  }
  assert.equal(acts.get('prebuild'), 2)
  assert.ok((acts.get('nothing') ?? 0) > 100)
})

for (const [field, value] of [
  ['ref', 'refs/heads/a b'],
  ['ref', 'refs/heads/../x'],
  ['ref', 'refs/heads/a..b'],
  ['ref', 'refs/heads/x.lock'],
  ['ref', 'refs/heads/x\n--upload-pack=y'],
  ['ref', 'refs/heads/'],
  ['ref', 'refs/heads/@{x'],
  ['ref', '--output=x'],
  ['ref', undefined],
  ['after', 'HEAD'],
  ['after', 'A'.repeat(40)],
  ['before', 5],
  ['deleted', 'no'],
] as const) {
  test(`a push whose ${field} is ${JSON.stringify(value)} is refused by that name`, () => {
    assert.throws(
      () => interpret('push', { ...push, [field]: value }),
      (error: Error) => error instanceof DeliveryMalformed && error.message.startsWith(`${field}: `),
    )
  })
}

test('a repository whose name would change the URL is refused', () => {
  for (const name of ['octo/../x', 'octo', 'octo/garden/more', 'octo/gar den', '-x/y', 'octo/..', 'octo/garden?x']) {
    const payload = { ...push, repository: { ...push.repository, full_name: name } }
    assert.throws(() => interpret('push', payload), /^DeliveryMalformed: repository\.full_name: /)
  }
})

test('any JSON as a push is understood or refused, never worse', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (payload) => {
      assert.throws(() => interpret('push', payload), DeliveryMalformed)
    }),
  )
})
