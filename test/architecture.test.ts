import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'

/** What a file of this path may not import. */
const REFUSED: [file: string, imported: string][] = [
  ['common/a.ts', '../client/http.ts'],
  ['common/b.ts', '../service/blobs/blobs.ts'],
  ['client/a.ts', '../service/policy/domain.ts'],
  ['client/deployment/b.ts', '../../action/inputs.ts'],
  ['action/a.ts', '../service/config.ts'],
  ['service/wire.ts', '../client/http.ts'],
  ['service/wire2.ts', '../test/support/bases.ts'],
  ['service/api/a.ts', '../jobs/worker.ts'],
  ['service/api/dashboard/b.ts', '../../jobs/worker.ts'],
  ['service/api/c.ts', '../wire.ts'],
  ['service/api/d.ts', '../database/sqlite.ts'],
  ['service/jobs/a.ts', '../api/server.ts'],
  ['service/jobs/b.ts', '../engine/docker.ts'],
  ['service/jobs/c.ts', '../main.ts'],
  ['service/jobs/runs/a.ts', '../run.ts'],
  ['service/jobs/runs/b.ts', '../../api/server.ts'],
  ['service/jobs/images/a.ts', '../runs/wishes.ts'],
  ['service/jobs/images/b.ts', '../../engine/docker.ts'],
  ['service/jobs/fragments/a.ts', '../images/image-store.ts'],
  ['service/jobs/fragments/b.ts', '../../api/server.ts'],
  ['service/jobs/environment/a.ts', '../fragments/make-order.ts'],
  ['service/jobs/environment/b.ts', '../../main.ts'],
  ['service/jobs/events/a.ts', '../worker/worker.ts'],
  ['service/jobs/worker/a.ts', '../events/journal.ts'],
  ['service/jobs/worker/b.ts', '../../api/server.ts'],
  ['service/source/a.ts', '../jobs/worker.ts'],
  ['service/builder/a.ts', '../api/server.ts'],
  ['service/builder/b.ts', '../engine/docker.ts'],
  ['service/registry/a.ts', '../wire.ts'],
  ['service/registry/b.ts', '../wire-images.ts'],
  ['service/secrets/a.ts', '../config.ts'],
  ['service/image/a.ts', '../jobs/worker.ts'],
  ['service/image/b.ts', '../database/database.ts'],
  ['service/interpreter/a.ts', '../builder/builder.ts'],
  ['service/interpreter/formats/b.ts', '../../api/server.ts'],
  ['service/database/a.ts', '../jobs/worker.ts'],
  ['service/database/b.ts', '../builder/builder.ts'],
  ['service/policy/a.ts', '../engine/engine.ts'],
  ['service/blobs/a.ts', '../database/database.ts'],
  ['service/engine/a.ts', '../image/base.ts'],
  ['service/engine/b.ts', '../config.ts'],
  ['service/github/a.ts', '../api/server.ts'],
  ['service/fetch/a.ts', '../builder/builder.ts'],
  ['quickstart/a.ts', '../service/config.ts'],
]

const ALLOWED: [file: string, imported: string][] = [
  ['client/ok.ts', '../common/contract.ts'],
  ['action/ok.ts', '../client/http.ts'],
  ['service/main.ts', './jobs/worker.ts'],
  ['service/wire3.ts', './engine/docker.ts'],
  ['service/api/ok.ts', '../database/database.ts'],
  ['service/jobs/ok.ts', '../engine/engine.ts'],
  ['service/jobs/run.ts', './runs/admission.ts'],
  ['service/jobs/runs/ok.ts', '../images/bring-image.ts'],
  ['service/jobs/images/ok.ts', '../fragments/make-order.ts'],
  ['service/jobs/fragments/ok.ts', '../environment/download.ts'],
  ['service/jobs/environment/ok.ts', '../../image/base.ts'],
  ['service/jobs/environment/ok2.ts', '../events/journal.ts'],
  ['service/image/ok.ts', '../blobs/blobs.ts'],
  ['service/engine/ok.ts', './docker.ts'],
  ['service/builder/ok.ts', '../../common/tar.ts'],
]

let folder: string
let complaints: Map<string, string[]>

/** One run of the linter over a tree that has the project's rules and nothing else of it. */
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'meadow-test-arrows-'))
  const rules = JSON.parse(readFileSync('biome.json', 'utf8'))
  writeFileSync(join(folder, 'biome.json'), JSON.stringify({ ...rules, vcs: { enabled: false } }))
  for (const [file, imported] of [...REFUSED, ...ALLOWED])
    write(file, `import type { Thing } from '${imported}'\n\nexport type Own = Thing\n`)
  write('common/one.ts', "import { two } from './two.ts'\n\nexport const one = () => two\n")
  write('common/two.ts', "import { one } from './one.ts'\n\nexport const two = () => one\n")
  complaints = lint()
})
after(() => rmSync(folder, { recursive: true }))

for (const [file, imported] of REFUSED)
  test(`${dirname(file)}/ may not import ${imported}`, () => {
    assert.deepEqual(complaints.get(file), ['lint/style/noRestrictedImports'])
  })

for (const [file, imported] of ALLOWED)
  test(`${dirname(file)}/ may import ${imported}`, () => assert.deepEqual(complaints.get(file) ?? [], []))

test('an import cycle is refused', () => {
  assert.deepEqual(complaints.get('common/one.ts'), ['lint/suspicious/noImportCycles'])
})

test('every folder of the service, and of its jobs, has its rules', () => {
  const tracked = execFileSync('git', ['ls-files', 'service/*/*.ts'], { encoding: 'utf8' }).trim().split('\n')
  const roomOf = (file: string) => dirname(file).match(/^service\/(?:jobs\/)?[^/]+/)?.[0]
  const rooms = new Set(tracked.map(roomOf))
  const covered = new Set(REFUSED.map(([file]) => roomOf(file)))
  assert.deepEqual(
    [...rooms].filter((room) => !covered.has(room)),
    [],
  )
})

function write(file: string, text: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}

/** The rules that each file breaks. */
function lint(): Map<string, string[]> {
  const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome')
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '.']
  const { stdout } = spawnSync(process.execPath, [biome, ...args], { cwd: folder, encoding: 'utf8', timeout: 60_000 })
  const found = new Map<string, string[]>()
  for (const { category, location } of JSON.parse(stdout).diagnostics) {
    const path = typeof location.path === 'string' ? location.path : location.path.file
    found.set(path, [...(found.get(path) ?? []), category])
  }
  return found
}
