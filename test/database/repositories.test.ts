import assert from 'node:assert/strict'
import { test } from 'node:test'
import { repositoryByGithub, repositoryById, repositoryByName } from '../../service/database/repositories.ts'
import { temporaryDatabase } from '../support/database.ts'

test('a repository is found by its number, and its name follows it', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const first = await write(({ db }) => repositoryByGithub(db, 7, 'meadow/run', 1))
  const renamed = await write(({ db }) => repositoryByGithub(db, 7, 'meadow/walk', 2))
  assert.deepEqual(renamed, { ...first, name: 'meadow/walk' })
  assert.deepEqual(await repositoryById(state, first.id), renamed)
})

test('a repository known by its name only is bound to the number that a delivery says', async (t) => {
  const { write } = await temporaryDatabase(t)
  const named = await write(({ db }) => repositoryByName(db, 'Meadow/Run', 1))
  assert.equal(named.github_id, null)
  const bound = await write(({ db }) => repositoryByGithub(db, 7, 'meadow/run', 2))
  assert.deepEqual(bound, { ...named, name: 'meadow/run', github_id: 7 })
  assert.deepEqual(await write(({ db }) => repositoryByName(db, 'MEADOW/RUN', 3)), bound)
})

test('a name that another repository took over is lost by the one that had it', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const old = await write(({ db }) => repositoryByGithub(db, 1, 'meadow/run', 1))
  const next = await write(({ db }) => repositoryByGithub(db, 2, 'meadow/run', 2))
  assert.notEqual(next.id, old.id)
  assert.equal((await repositoryById(state, old.id))?.name, null)
  assert.deepEqual(await write(({ db }) => repositoryByName(db, 'meadow/run', 3)), next)
  const back = await write(({ db }) => repositoryByGithub(db, 1, 'meadow/back', 4))
  assert.deepEqual(back, { ...old, name: 'meadow/back' })
})

test('a known repository that takes the name of one without a number leaves that one nameless', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const known = await write(({ db }) => repositoryByGithub(db, 1, 'meadow/old', 1))
  const named = await write(({ db }) => repositoryByName(db, 'meadow/new', 2))
  assert.equal((await write(({ db }) => repositoryByGithub(db, 1, 'meadow/new', 3))).id, known.id)
  assert.equal((await repositoryById(state, named.id))?.name, null)
})
