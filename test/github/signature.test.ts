import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sign } from '@octokit/webhooks-methods'
import fc from 'fast-check'
import { signatureCheck } from '../../service/github/signature.ts'

test("the example of GitHub's documentation is signed", () => {
  const isSigned = signatureCheck("It's a Secret to Everybody")
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
  assert.equal(isSigned(Buffer.from('Hello, World!'), signature), true)
  for (const wrong of [
    '',
    'sha256=',
    signature.slice(7),
    `${signature} `,
    signature.toUpperCase(),
    `sha1=${'0'.repeat(64)}`,
  ])
    assert.equal(isSigned(Buffer.from('Hello, World!'), wrong), false, wrong)
})

test('what another implementation signs is signed, under that secret alone', async () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 })
  const property = fc.asyncProperty(text, text, async (secret, body) => {
    const signature = await sign(secret, body)
    assert.equal(signatureCheck(secret)(Buffer.from(body), signature), true)
    assert.equal(signatureCheck(`${secret}.`)(Buffer.from(body), signature), false)
    assert.equal(signatureCheck(secret)(Buffer.from(`${body}.`), signature), false)
  })
  await fc.assert(property)
})
