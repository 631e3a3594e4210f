import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeBigWheel } from '../../bench/big-wheel.ts'
import { quantile, row, table } from '../../bench/rows.ts'
import { runCommand } from '../../machine/command.ts'

test('a row has the ratio to its peer, or none', () => {
  const expected = { bench: 'bake', metric: 'push to pulled', unit: 's', ours: 12.3, peer: 161, ratio: 0.0767 }
  assert.deepEqual(row('bake', 'push to pulled', 's', 12.345, 161), expected)
  assert.deepEqual(row('action', 'bundle', 'kB', 420, undefined).ratio, null)
})

test('the table says which bars are kept, in both directions', () => {
  const lines = table([
    row('bake', 'push to pulled', 's', 25, 100),
    row('bake', 'push to pulled', 's', 26, 100),
    row('webhook', 'throughput', '1/s', 1500, 1000),
    row('webhook', 'throughput', '1/s', 1400, 1000),
    row('action', 'bundle', 'kB', 501),
    row('start', 'p99', 'ms', 501, 3),
  ]).split('\n')
  const ends = lines.slice(1).map((line) => /ok$|MISSED$/.exec(line)?.[0])
  assert.deepEqual(ends, ['ok', 'MISSED', 'ok', 'MISSED', 'MISSED', undefined])
})

test('quantiles are figures that were measured', () => {
  const figures = Array.from({ length: 50 }, (_, index) => 50 - index)
  assert.equal(quantile(figures), 26)
  assert.equal(quantile(figures, 0.99), 50)
  assert.equal(quantile([7], 0.99), 7)
  assert.throws(() => quantile([]), RangeError)
})

test('the big wheel is a wheel: Python reads it whole, and its RECORD is right', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'meadow-test-wheel-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const { file } = await writeBigWheel(join(folder, 'big.whl'), 20e6)
  const script = `
import zipfile, sys, csv, hashlib, base64, io
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
for name, digest, size in csv.reader(io.StringIO(z.read("big-1.0.dist-info/RECORD").decode())):
    if digest:
        data = z.read(name)
        assert len(data) == int(size)
        assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
print(len(z.namelist()))`
  assert.equal((await runCommand('python3', ['-c', script, file], { timeout: 60_000 })).trim(), '6')
})

test('a command that fails gives its last lines, and one that hangs is ended', async () => {
  const failing = ['-e', 'console.log("out"); console.error("why"); process.exitCode = 3']
  await assert.rejects(runCommand(process.execPath, failing, { timeout: 30_000 }), /ended with 3\n(.|\n)*why/)
  const hanging = ['-e', 'setInterval(() => {}, 1000)']
  await assert.rejects(runCommand(process.execPath, hanging, { timeout: 200 }), /may take 0.2 s/)
  await assert.rejects(runCommand('no-such-program', [], { timeout: 1000 }), /no-such-program.*ENOENT/)
})
