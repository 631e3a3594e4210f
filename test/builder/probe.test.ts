import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { tarArchive } from '../../common/tar.ts'
import { type BootstrapWheel, BUILDER_TOOLS, bootstrapLock, bootstrapWheels } from '../../service/builder/bootstrap.ts'
import { Step } from '../../service/builder/step.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'

let parts: TestBuilder
let wheels: BootstrapWheel[]
before(async () => {
  parts = await testBuilder()
  wheels = await bootstrapWheels(
    parts.context,
    await testBase('3.11'),
    BUILDER_TOOLS,
    join(parts.folder, 'wheels'),
    STEP,
  )
})
after(() => parts[Symbol.asyncDispose]())

/** What the packaging library says in the same base. */
async function byPackaging(reference: string): Promise<{ tags: string[]; markers: Record<string, string> }> {
  const wheel = wheels.find(({ filename }) => filename.startsWith('packaging-'))
  const program = `import sys, json; sys.path.insert(0, '/packaging.whl')
from packaging.tags import sys_tags
from packaging.markers import default_environment
print(json.dumps({"tags": [str(tag) for tag in sys_tags()], "markers": default_environment()}))`
  await using step = await Step.open(
    parts.context,
    { name: 'asking packaging', image: reference, command: ['python3', '-I', '-c', program], network: 'none' },
    STEP,
  )
  const content = await readFile(wheel?.file ?? '')
  const tar = tarArchive([{ path: 'packaging.whl', type: 'file', mode: 0o644, mtime: 0, content }])
  await step.container.put(Readable.from([tar]), '/')
  await step.start()
  step.stdin.end()
  const said = await text(step.stdout)
  await step.finish()
  return JSON.parse(said)
}

describe('probe', () => {
  for (const python of ['3.9', '3.11', '3.13'] as const) {
    test(`Python ${python}: markers and tags are those of the packaging library`, async () => {
      const base = await testBase(python)
      const probe = await parts.builder.probe(base, STEP)
      const { tags, markers } = await byPackaging(base.reference)
      assert.deepEqual(probe.tags, tags)
      assert.deepEqual(probe.markers, markers)
      assert.ok(probe.version.startsWith(`${python}.`))
      assert.equal(probe.cacheTag, `cpython-${python.replace('.', '')}`)
      assert.equal(probe.libc.name, 'glibc')
      assert.equal(probe.executable, `/usr/bin/python${python}`)
      assert.equal(probe.basePrefix, '/usr')
      assert.equal(probe.user, '0:0')
    })
  }

  test('an image without Python is named', async () => {
    const docker = new Docker({ timeout: 60_000 })
    const reference = `meadow-test/empty:${randomUUID()}`
    const tar = tarArchive([{ path: 'readme', type: 'file', mode: 0o644, mtime: 0 }])
    const [repo, tag] = reference.split(':')
    const progress = await docker.importImage(Readable.from([tar]), { repo, tag })
    await new Promise((resolve) => docker.modem.followProgress(progress, resolve))
    try {
      const base = { ...(await testBase('3.11')), name: 'debian:none', reference }
      await assert.rejects(
        parts.builder.probe(base, STEP),
        /^UnfitBase: debian:none: no Python inside: it has no python3 on the PATH/,
      )
    } finally {
      await docker.getImage(reference).remove()
    }
  })
})

describe('bootstrap', () => {
  test("the builder's wheels are those of its requirements, and a lock", () => {
    const lock = bootstrapLock(wheels, BUILDER_TOOLS)
    const wanted = [...BUILDER_TOOLS.requirements.matchAll(/^(\S+)==(\S+)/gm)].map((match) => [
      match[1],
      match[2],
      'wheel',
    ])
    assert.deepEqual(
      lock.artifacts.map(({ name, version, kind }) => [name, version, kind]),
      wanted.sort(),
    )
    assert.equal(bootstrapLock(wheels.toReversed(), BUILDER_TOOLS).digest, lock.digest)
    for (const { sha256 } of lock.artifacts) assert.ok(lock.text.includes(sha256 as string))
  })
})
