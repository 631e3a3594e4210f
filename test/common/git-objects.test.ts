import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { blobHash, objectId, type TreeLeaf, treeId, treeOfCommit } from '../../common/git-objects.ts'
import { git } from '../../common/git-process.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'

test("recomputed ids are git's own", async (t) => {
  const repository = await TestRepository.make(await temporaryFolder(t))
  const name = fc.stringMatching(/^[ab][.0-]{0,2}[ab]?$/)
  const files = fc.uniqueArray(fc.tuple(fc.array(name, { minLength: 1, maxLength: 3 }), fc.string()), {
    maxLength: 8,
    selector: ([path]) => path[0],
  })
  await fc.assert(
    fc.asyncProperty(files, async (entries) => {
      const byPath = Object.fromEntries(entries.map(([path, content]) => [path.join('/'), content]))
      const commit = await repository.commit(byPath)
      const leaves = Object.entries(byPath).map(([path, content]): TreeLeaf => {
        const bytes = Buffer.from(content)
        const id = blobHash(bytes.length).update(bytes).digest('hex')
        return { path, mode: '100644', id }
      })
      const tree = await repository.git(['rev-parse', `${commit}^{tree}`])
      assert.equal(treeId(leaves), tree)
      const raw = await git(['cat-file', 'commit', commit], { cwd: repository.folder })
      assert.equal(objectId('commit', raw), commit)
      assert.equal(treeOfCommit(raw), tree)
    }),
    { numRuns: 25 },
  )
})

test('what is no commit names no tree', () => {
  assert.equal(treeOfCommit(Buffer.from('parent 00')), undefined)
  assert.equal(treeOfCommit(Buffer.from(`x\ntree ${'0'.repeat(40)}\n`)), undefined)
})
