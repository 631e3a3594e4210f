import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SecretMask } from '../../service/secrets/mask.ts'

test('secrets are masked wherever they are, and those that overlap together', () => {
  const mask = new SecretMask()
  mask.add('hunter2')
  mask.add('ter2000')
  assert.equal(mask.text('user:hunter2@host hunter'), 'user:***@host hunter')
  assert.equal(mask.text('hunter2000!'), '***!')
  assert.equal(mask.text('hunter2hunter2'), '******')
})

test('each line of a secret is masked, what is shorter than four characters is not', () => {
  const mask = new SecretMask()
  mask.add('-----BEGIN KEY-----\nabcdef\r\n}\n')
  assert.equal(mask.text('{"key": "abcdef"}'), '{"key": "***"}')
  mask.add('abc')
  assert.equal(mask.text('abc'), 'abc')
})

test('a secret is masked until all who added it have taken it back', () => {
  const mask = new SecretMask()
  const [first, second] = [mask.add('hunter2'), mask.add('hunter2')]
  first()
  first()
  assert.equal(mask.text('hunter2'), '***')
  second()
  assert.equal(mask.isEmpty, true)
  assert.equal(mask.text('hunter2'), 'hunter2')
})

test('strings in JSON are masked, names of fields too, and nothing else changes', () => {
  const mask = new SecretMask()
  const value = { a: ['hunter2', 1, null, true], hunter2: { b: 'no' } }
  assert.deepEqual(mask.json(value), value)
  mask.add('hunter2')
  assert.deepEqual(mask.json(value), { a: ['***', 1, null, true], '***': { b: 'no' } })
})

/** Few letters, so that prefixes, repeats and overlaps are many. */
const word = (min: number, max: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b'), minLength: min, maxLength: max })

test('however the bytes are cut, they are masked as if they came at once', () => {
  const secrets = fc.array(word(4, 7), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(secrets, fc.array(word(0, 9), { maxLength: 12 }), (words, pieces) => {
      const mask = new SecretMask()
      for (const secret of words) mask.add(secret)
      const stream = mask.stream()
      const told = [...pieces.map((piece) => stream.push(Buffer.from(piece))), stream.release()]
      const all = pieces.join('')
      assert.equal(Buffer.concat(told).toString(), reference(all, words))
      assert.equal(stream.holds, false)
    }),
    { numRuns: 2000 },
  )
})

test('what cannot be the beginning of a secret is told at once', () => {
  const mask = new SecretMask()
  mask.add('hunter2')
  const stream = mask.stream()
  assert.equal(String(stream.push(Buffer.from('a line\n'))), 'a line\n')
  assert.equal(stream.holds, false)
  assert.equal(String(stream.push(Buffer.from('a hunt'))), 'a ')
  assert.equal(stream.holds, true)
  assert.equal(String(stream.push(Buffer.from('ing'))), 'hunting')
})

/** Letter by letter: whatever belongs to a secret is hidden, each stretch of secrets that overlap by one mask. */
function reference(text: string, secrets: string[]): string {
  const covers = Array.from({ length: text.length }, (_, at) => secrets.filter((secret) => text.startsWith(secret, at)))
  let result = ''
  let hiddenUntil = 0
  for (let at = 0; at < text.length; at++) {
    const longest = Math.max(0, ...(covers[at] ?? []).map((secret) => secret.length))
    if (longest > 0 && at >= hiddenUntil) result += '***'
    hiddenUntil = Math.max(hiddenUntil, longest > 0 ? at + longest : 0)
    if (at >= hiddenUntil) result += text[at]
  }
  return result
}
