import assert from 'node:assert/strict'
import { mkdir, readlink, realpath, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkLinks } from '../../common/bundle-links.ts'
import { temporaryFolder } from '../support/repositories.ts'

const refused = (links: Record<string, string>) => {
  try {
    checkLinks(new Map(Object.entries(links)))
    return undefined
  } catch (error) {
    assert.ok(error instanceof Error && error.name === 'BundleRefused')
    return error.message
  }
}

test('links that stay inside are kept, dangling ones and circles too', () => {
  assert.equal(
    refused({ a: 'b/c', 'x/y': '../z', 'x/here': '.', 'x/top': '..', loop: 'loop', p: 'q', q: 'p' }),
    undefined,
  )
})

test('links that lead outside are refused, through other links too', () => {
  for (const links of [
    { a: '/etc/passwd' },
    { a: '..' },
    { 'd/a': '../../x' },
    { a: 'b/../../x' },
    { p: '.', q: 'p/..' },
    { 'deep/er/top': '../..', q: 'deep/er/top/../x' },
    { a: '' },
    { a: 'x\0y' },
  ]) {
    assert.ok(refused(links), JSON.stringify(links))
  }
})

test('too many links through links are refused in bounded time', () => {
  const links = Object.fromEntries(Array.from({ length: 30_000 }, (_, n) => [`l${n}`, `${'./'.repeat(1500)}l${n}`]))
  assert.match(refused(links) ?? '', /too many/)
})

test('what the file system finds outside is refused; what never climbs is kept', async (t) => {
  const folder = await temporaryFolder(t)
  const part = fc.constantFrom('a', 'b', 'c', '..', '.')
  const target = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'))
  let count = 0
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom('a', 'c', 'd/a', 'd/b', 'd/e/c'), target), async (links) => {
      const root = join(folder, String(count++), 'x', 'y', 'z', 'root')
      await mkdir(join(root, 'd', 'e'), { recursive: true })
      // So that nothing dangles: what is not there resolves by its letters alone, which the file system can't tell.
      await mkdir(join(root, 'b', 'b'), { recursive: true })
      for (const [path, link] of Object.entries(links)) await symlink(link, join(root, path))
      for (const path of Object.keys(links)) {
        const real = await realpath(join(root, path)).catch(() => undefined)
        if (real !== undefined && real !== root && !real.startsWith(`${root}/`)) {
          assert.ok(refused(links), `${path} -> ${await readlink(join(root, path))}`)
        }
      }
      if (!Object.values(links).some((link) => link.includes('..'))) assert.equal(refused(links), undefined)
    }),
    { numRuns: 300 },
  )
})
