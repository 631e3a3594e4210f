import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { launcherTar } from '../../service/engine/launcher-files.ts'
import { baseImage } from '../support/bases.ts'
import { codeTar, PYTHONS, testEngine } from '../support/standbys.ts'

const made = testEngine('spool')
after(made.clean)

for (const python of PYTHONS) {
  test(`Python ${python}: the spool loses nothing without saying so`, async () => {
    const spec = await made.spec(['python3', '-I', '/srv/check.py'], { image: await baseImage(python) })
    const container = await made.engine.create(spec)
    await container.put(Readable.from([await launcherTar({ uid: 0, gid: 0 })]), '/')
    const check = await readFile(new URL('./spool_check.py', import.meta.url), 'utf8')
    await container.put(codeTar({ 'check.py': check }), '/srv')
    const { stdout, stderr } = await container.attach()
    const said = Promise.all([text(stdout), text(stderr)])
    await container.start()
    await container.wait()
    assert.deepEqual(await said, ['all lives are right\n', ''])
  })
}
