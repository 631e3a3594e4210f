import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { BaseImage } from '../../service/image/base.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import type { Probe } from '../../service/interpreter/probe.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { type PoetryVersion, poetryLock } from '../support/poetry.ts'

let parts: TestBuilder
let base: BaseImage
let probe: Probe
before(async () => {
  parts = await testBuilder()
  base = await testBase('3.11')
  probe = await parts.builder.probe(base, STEP)
})
after(() => parts[Symbol.asyncDispose]())

const ask = { ...STEP, domain: 'rep_test' }
const VERSIONS: PoetryVersion[] = ['1.2', '1.8', '2.5']

const PROJECT = `[tool.poetry]
name = "shop"
version = "0.3.0"
description = ""
authors = ["A <a@example.org>"]
package-mode = false

[tool.poetry.dependencies]
python = "^3.9"
idna = "3.6"
exceptiongroup = { version = "1.2.2", python = "<3.11" }
packaging = { version = "24.1", optional = true }

[tool.poetry.extras]
versions = ["packaging"]

[tool.poetry.group.dev.dependencies]
iniconfig = "2.0.0"

[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
six = "1.16.0"
`

interface Wish {
  groups?: string[]
  extras?: string[]
}

async function resolve(files: Record<string, string | Buffer>, wish: Wish = {}): Promise<Lock> {
  const spec = await loadSpec(codeFiles(files), { interpreter: 'poetry.lock', ...wish })
  return await parts.builder.resolve(base, spec, probe, ask)
}

const names = ({ artifacts }: Lock) => artifacts.map(({ name, version }) => `${name}==${version}`)

describe('poetry.lock', () => {
  for (const version of VERSIONS) {
    describe(`of poetry ${version}`, () => {
      const files = { 'pyproject.toml': PROJECT, 'poetry.lock': '' }
      before(async () => {
        // Older ones don't know it, and no lock depends on it.
        const project = PROJECT.replace('package-mode = false\n', '')
        files['poetry.lock'] = await poetryLock(parts.context, version, { 'pyproject.toml': project })
      })

      test('the main group and those that are not optional, for this Python', async () => {
        const lock = await resolve(files)
        assert.deepEqual(names(lock), ['idna==3.6', 'iniconfig==2.0.0'])
        const [idna] = lock.artifacts
        assert.equal(idna?.kind, 'wheel')
        assert.match(idna?.url ?? '', /^https:.*\/idna-3\.6-py3-none-any\.whl$/)
        assert.ok((idna?.size ?? 0) > 1000)
        assert.equal(idna?.index, 'default')
        assert.deepEqual(lock.requirements[0], { name: 'idna', text: 'idna 3.6', file: 'pyproject.toml', line: 10 })
      })

      test('optional groups and extras that are asked for', async () => {
        const lock = await resolve(files, { groups: ['docs'], extras: ['versions'] })
        assert.deepEqual(names(lock), ['idna==3.6', 'iniconfig==2.0.0', 'packaging==24.1', 'six==1.16.0'])
      })

      test('nothing but the groups that are asked for, where main is among them', async () => {
        assert.deepEqual(names(await resolve(files, { groups: ['main'] })), ['idna==3.6'])
      })
    })
  }
})
