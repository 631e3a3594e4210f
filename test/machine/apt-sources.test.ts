import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { debianMirror } from '../../machine/apt-sources.ts'

const DEB822 = `Types: deb
# kept: http://snapshot.example/debian/2025
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/a.gpg

Types: deb deb-src
# kept: http://snapshot.example/debian/2025
URIs:
 https://mirror.example/debian
 https://other.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/a.gpg
`

const CASES: { what: string; files: Record<string, string>; expected: unknown }[] = [
  {
    what: 'deb822, with comments inside a stanza',
    files: { 'sources.list.d/debian.sources': DEB822 },
    expected: { url: 'https://mirror.example/debian', keyring: '/usr/share/keyrings/a.gpg' },
  },
  {
    what: 'a disabled stanza, an inline key',
    files: {
      'sources.list.d/a.sources': DEB822.replaceAll('Types: deb', 'Enabled: no\nTypes: deb'),
      'sources.list.d/b.sources':
        'Types: deb\nURIs: http://b.example/debian/\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n x\n',
    },
    expected: { url: 'http://b.example/debian/' },
  },
  {
    what: 'one line a source, options and comments',
    files: {
      'sources.list':
        '# deb http://no.example/debian bookworm main\ndeb-src http://no.example/debian bookworm main\n' +
        'deb [arch=amd64 signed-by=/k.gpg] http://yes.example/debian bookworm main # contrib\n',
    },
    expected: { url: 'http://yes.example/debian', keyring: '/k.gpg' },
  },
  {
    what: 'another vendor and another distribution',
    files: {
      'sources.list': 'deb http://archive.example/ubuntu noble main\ndeb http://v.example/apt/debian stable contrib\n',
    },
    expected: undefined,
  },
  { what: 'no sources at all', files: {}, expected: undefined },
]

for (const { what, files, expected } of CASES) {
  test(`the Debian mirror: ${what}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meadow-test-apt-'))
    try {
      mkdirSync(join(folder, 'sources.list.d'))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
      assert.deepEqual(await debianMirror(folder), expected)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}
