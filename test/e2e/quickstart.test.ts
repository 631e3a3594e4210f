import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Docker from 'dockerode'
import { runCommand } from '../../machine/command.ts'

interface Written {
  steps: {
    name: string
    seconds: number
    cache: string
    packagesNew: number
    bytesReused: number
    bytesTransferred: number
  }[]
  run: { exitCode: number; secondsToFirstByte: number }
  rerun: { exitCode: number; secondsToFirstByte: number }
}

test('the quickstart does what the README says, and leaves nothing behind', { timeout: 600_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'meadow-test-quickstart-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const json = join(folder, 'steps.json')
  // Its own temporary folder, so that what it leaves there is seen.
  const env = { ...process.env, TMPDIR: folder }
  const said = await runCommand(process.execPath, ['quickstart/main.ts', '--json', json], { env, timeout: 590_000 })
  const { steps, run, rerun } = JSON.parse(readFileSync(json, 'utf8')) as Written

  assert.deepEqual(
    steps.map((step) => step.name),
    ['push', 'run', 'change', 'rerun'],
  )
  const [push, first, change, second] = steps
  assert.ok(push && push.packagesNew > 4 && push.bytesTransferred > 1_000_000)
  assert.deepEqual([first?.cache, first?.packagesNew, first?.bytesTransferred], ['hit', 0, 0])
  assert.ok(change && change.cache === 'partial' && change.packagesNew === 1)
  assert.ok(change.bytesReused > 10 * change.bytesTransferred)
  assert.deepEqual([second?.cache, second?.packagesNew, second?.bytesTransferred], ['hit', 0, 0])
  for (const result of [run, rerun]) {
    assert.equal(result.exitCode, 0)
    assert.ok(result.secondsToFirstByte > 0)
  }
  assert.match(said, /2 passed/)

  assert.deepEqual(readdirSync(folder), ['steps.json'])
  const host = /on http:\/\/(127\.0\.0\.1:\d+)/.exec(said)?.[1]
  assert.ok(host)
  await assert.rejects(fetch(`http://${host}/healthz`), 'its service has ended')
  const containers = await new Docker().listContainers({ all: true })
  assert.deepEqual(
    containers.filter(({ Image }) => Image.startsWith(`${host}/`)),
    [],
  )
})
