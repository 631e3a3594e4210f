import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusal, resolving } from '../support/resolving.ts'

/** Requirements files that were frozen on Windows or macOS, with packages that only those have. */

const { resolve: resolveFiles } = await resolving()

const resolve = async (text: string) => await resolveFiles({ 'requirements.txt': text })

for (const [freeze, line, written] of [
  ['idna==3.7\npywin32==306\n', 2, 'pywin32==306'],
  ['pywin32\n', 1, 'pywin32'],
] as const) {
  test(`${JSON.stringify(freeze)}: the line, and the marker that excludes it`, async () => {
    const { message, line: at, hint } = await refusal(resolve(freeze))
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
