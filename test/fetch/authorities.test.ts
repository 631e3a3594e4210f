import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'
import { allAuthorities } from '../../service/fetch/authorities.ts'
import { temporaryFolder } from '../support/repositories.ts'

test('further authorities stand beside those that everybody trusts, each once', async (t) => {
  const folder = await temporaryFolder(t)
  const [known = ''] = rootCertificates
  const own = '-----BEGIN CERTIFICATE-----\nb3Vycw==\n-----END CERTIFICATE-----'
  await writeFile(join(folder, 'ca.pem'), `Ours\n${own}\n# known too\n${known}\n`)
  const { text, file } = await allAuthorities(join(folder, 'ca.pem'), folder)
  assert.equal(await readFile(file, 'utf8'), text)
  for (const one of [own, known]) assert.equal(text.split(one).length, 2)
  for (const one of rootCertificates) assert.ok(text.includes(one.trim()))
  assert.doesNotMatch(text, /Ours/)
})
