import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** An image that nobody used for long: gone from the node, and there again when it is wanted. */

let service: ServiceUnderTest
let project: Project
before(async () => {
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_IMAGE_LIFETIME: '0s' })
  project = await service.project('octo/attic')
})
after(() => service?.close())

/** Images of the node that are of the repositories of this service. */
async function imagesHere(): Promise<string[]> {
  const all = await new Docker({ timeout: 60_000 }).listImages()
  return all
    .flatMap(({ RepoDigests }) => RepoDigests ?? [])
    .filter((name) => name.startsWith(`${service.home.host}/meadow/rep_`))
}

test('it is removed at the next start, and made again of what stayed', async () => {
  const commit = await project.commit({ 'requirements.txt': 'six==1.16.0\nidna==3.7\n' })
  const made = await project.built(await project.build(commit))
  assert.equal(made.state, 'finished', made.message)
  assert.equal((await imagesHere()).length, 1)
  await service.stop()
  await service.start()
  const limit = Date.now() + 60_000
  // Said when it is done.
  while (!/images that nobody had used for long were removed: 1/.test(service.log)) {
    assert.ok(Date.now() < limit, service.log.slice(-4000))
    await sleep(20)
  }
  assert.deepEqual(await imagesHere(), [])

  const { run, stdout, cache } = await project.ran(commit, {
    args: ['python', '-c', 'import six, idna; print(idna.__version__)'],
  })
  assert.equal(run.outcome, 'ok', run.message)
  assert.equal(stdout.toString(), '3.7\n')
  assert.equal(cache?.['packages-new'], 0)
  assert.equal(cache?.image, made.image, 'the same image')
})
