import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { BaseImage } from '../../service/image/base.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import type { Probe } from '../../service/interpreter/probe.ts'
import { ResolutionFailed } from '../../service/interpreter/resolution.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'

/** Requirements files that were frozen on Windows or macOS, with packages that only those have. */

let parts: TestBuilder
let base: BaseImage
let probe: Probe
before(async () => {
  parts = await testBuilder()
  base = await testBase('3.11')
  probe = await parts.builder.probe(base, STEP)
})
after(() => parts[Symbol.asyncDispose]())

async function resolve(text: string): Promise<Lock> {
  const spec = { format: 'requirements.txt', path: 'requirements.txt', files: { 'requirements.txt': text } } as const
  return await parts.builder.resolve(base, spec, probe, { ...STEP, domain: 'rep_test' })
}

async function refusal(text: string): Promise<ResolutionFailed> {
  return await resolve(text).then(
    () => assert.fail('resolved'),
    (error) => {
      assert.ok(error instanceof ResolutionFailed, String(error?.stack))
      return error
    },
  )
}

for (const [freeze, line, written] of [
  ['idna==3.7\npywin32==306\n', 2, 'pywin32==306'],
  ['pywin32\n', 1, 'pywin32'],
] as const) {
  test(`${JSON.stringify(freeze)}: the line, and the marker that excludes it`, async () => {
    const { message, line: at, hint } = await refusal(freeze)
    assert.equal(at, line)
    // The resolver's own explanation is whole.
    assert.match(message, /no wheels with a matching platform tag[\s\S]*following platforms: `win32`/)
    assert.equal(
      hint,
      `pywin32 has wheels for Windows only. A marker excludes it here: ${written} ; sys_platform == "win32"`,
    )
  })
}

test('markers of a file that was made elsewhere are evaluated on the target', async () => {
  const { artifacts } = await resolve(
    'idna==3.7\npywin32==306 ; sys_platform == "win32"\npyobjc-core==10.3.1 ; sys_platform == "darwin"\n' +
      'pexpect==4.9.0 ; os_name != "nt"\n',
  )
  assert.deepEqual(
    artifacts.map(({ name }) => name),
    ['idna', 'pexpect', 'ptyprocess'],
  )
})

test('a package that has a source, but wheels for another system only, says so in the lock', async () => {
  const { artifacts } = await resolve('pyobjc-core==10.3.1\nidna==3.7\n')
  const [idna, pyobjc] = artifacts
  assert.equal(idna?.otherSystems, undefined)
  assert.equal(pyobjc?.kind, 'sdist')
  assert.deepEqual(pyobjc?.otherSystems, { names: 'macOS', marker: 'sys_platform == "darwin"' })
})
