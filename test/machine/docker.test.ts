import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ensureDocker } from '../../machine/docker.ts'
import { childrenOf, isRunning } from '../../machine/process.ts'

function beside(folder: string, ...more: string[]): [string, ...string[]] {
  const folders = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')]
  return ['unshare', '--net', 'dockerd', ...folders, ...more]
}

const isRoot = process.getuid?.() === 0

test('starts an engine where none answers, finds it the second time, stops only what it started', {
  skip: isRoot ? false : 'needs root',
  timeout: 120_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meadow-test-docker-'))
  const options = {
    say: () => {},
    socket: join(folder, 'docker.sock'),
    // Beside the machine's own engine: in other folders and in a network of its own, for an engine that starts tidies
    // up bridges and rules that it takes for its own.
    daemon: beside(folder),
  }
  const before = new Set(childrenOf(process.pid))
  const first = await ensureDocker(options)
  try {
    assert.equal(first.started, true)
    const [daemon, ...others] = childrenOf(process.pid).filter((pid) => !before.has(pid))
    assert.ok(daemon !== undefined && others.length === 0)
    const containerd = childrenOf(daemon)
    assert.ok(containerd.length > 0)

    const second = await ensureDocker(options)
    assert.equal(second.started, false)
    await second.stop()
    assert.ok(isRunning(daemon))

    await first.stop()
    assert.deepEqual([daemon, ...containerd].filter(isRunning), [])
    assert.equal(existsSync(options.socket), false)
  } finally {
    await first.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('says why an engine does not start', { skip: isRoot ? false : 'needs root', timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meadow-test-docker-'))
  try {
    const socket = join(folder, 'docker.sock')
    const options = { say: () => {}, socket, daemon: beside(folder, '--no-such-flag') }
    await assert.rejects(ensureDocker(options), /did not start.*no-such-flag/s)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
