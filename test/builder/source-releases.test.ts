import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Builder } from '../../service/builder/builder.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import { codeFiles } from '../support/code-files.ts'
import { type IndexServer, indexServer, publicIndex } from '../support/index-server.ts'
import { makeOldSdist, makeSdist } from '../support/package-index.ts'
import { ASK, pins, refusal, resolvingSources } from '../support/resolving.ts'
import { makeWheel, wheelFilename } from '../support/wheels.ts'

/** Releases that are source distributions alone, as pip takes them: an index whose newest ones have no wheel. */

const { parts, base, probe, resolve } = await resolvingSources()
let server: IndexServer
let builder: Builder
const ended: (() => unknown)[] = []
before(async () => {
  const files = {
    ours: [
      wheel('fresh', '1.0'),
      makeSdist('fresh', 'raise RuntimeError("built")', '2.0'),
      wheel('old', '1.0'),
      makeOldSdist('old', setup('old', 'import os; assert not os.path.exists("/opt/env")'), '2.0'),
      wheel('build', '1.0'),
      makeOldSdist('broken', setup('broken', 'raise RuntimeError("Invalid, Unexpected, Expected `x`")')),
      makeOldSdist('slow', setup('slow', 'import time; time.sleep(600)')),
    ],
  }
  server = await indexServer({ after: (end: never) => ended.push(end) } as never, files, await publicIndex(parts))
  // Containers of other classes do not reach this machine.
  builder = parts.another({ indexUrl: server.url('ours'), network: 'open' })
})
after(async () => {
  for (const end of ended) await end()
})

function wheel(name: string, version: string) {
  const spec = { name, version }
  return { filename: wheelFilename(spec), content: makeWheel(spec) }
}

function setup(name: string, first: string): string {
  return `${first}\nfrom setuptools import setup\nsetup(name="${name}", version="2.0", install_requires=["six==1.16.0"])\n`
}

/** The lock of a requirements file, and what was reported meanwhile. */
async function lockOf(text: string, by = builder) {
  const spec = await loadSpec(codeFiles({ 'requirements.txt': text }), { interpreter: 'requirements.txt' })
  const lines: string[] = []
  const report = (line: string) => void lines.push(line)
  return { lock: await by.resolve(base, spec, probe, { ...ASK, report }), lines }
}

describe('the newest release has no wheel', () => {
  test('it is taken, and not built where it says what it needs', async () => {
    const { lock, lines } = await lockOf('fresh\n')
    assert.deepEqual(pins(lock), ['fresh==2.0'])
    assert.equal(lock.artifacts[0]?.kind, 'sdist')
    assert.deepEqual(lines, [])
  })

  test('where only its setup.py says that, it is run in the base, which the log says', async () => {
    const { lock, lines } = await lockOf('old\nfresh\n')
    assert.deepEqual(pins(lock), ['fresh==2.0', 'old==2.0', 'six==1.16.0'])
    assert.ok(lines.includes('building the metadata of old==2.0'), lines.join('\n'))
    assert.ok(
      lines.every((line) => !line.startsWith('DEBUG')),
      lines.join('\n'),
    )
  })

  test('--prefer-binary takes an older one with a wheel', async () => {
    const { lock, lines } = await lockOf('--prefer-binary\nold\nfresh\n')
    assert.deepEqual(pins(lock), ['fresh==1.0', 'old==1.0'])
    assert.deepEqual(lines, [])
  })
})

describe('a setup.py', () => {
  test('that fails: the line, what it said, and the fix', async () => {
    const error = await refusal(lockOf('build\nbroken==1.0\n'))
    assert.match(error.message, /^requirements\.txt:2: Failed to \S+.* `broken==1\.0`/)
    assert.match(error.message, /RuntimeError: Invalid, Unexpected, Expected `x`/)
    assert.match(error.hint, /^Its own build failed: ask for a version that has a wheel/)
  })

  test('that hangs: the line, and the setting', async () => {
    const hasty = parts.another({ indexUrl: server.url('ours'), network: 'open', limits: { timeout: 5_000 } })
    const error = await refusal(lockOf('build\nslow\n', hasty))
    assert.match(
      error.message,
      /^requirements\.txt:2: Failed to build `slow==1\.0`\n {2}cause: \S+.* more than 5 seconds/,
    )
    assert.match(error.hint, /MEADOW_BUILD_TIMEOUT/)
  })

  test('that calls out gets no answer from this machine', async () => {
    const listener = createServer((socket) => socket.end('reached')).listen(0, '0.0.0.0')
    after(() => listener.close())
    await new Promise((resolve) => listener.on('listening', resolve))
    const { port } = listener.address() as { port: number }
    const { hostname } = new URL(server.url('ours'))
    const call = `import socket; print(socket.create_connection(("${hostname}", ${port}), 20).recv(9)); raise SystemExit(1)`
    const { filename, content } = makeOldSdist('calls', setup('calls', call))
    const files = { 'requirements.txt': 'idna\n--find-links links\ncalls\n', [`links/${filename}`]: content }
    const error = await refusal(resolve(files))
    assert.match(error.message, /^requirements\.txt:3: Failed to build `calls==1\.0`[\s\S]*No route to host/)
  })
})
