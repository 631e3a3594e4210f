import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Build } from '../../common/contract.ts'
import { type TestBuilder, testBuilder } from '../support/builder.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import { condaLocked } from '../support/conda-tools.ts'
import { poetryLock } from '../support/poetry.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { uvLock } from '../support/uv-lock.ts'

/** Every format of environment files through the same cases: bake, import, change one package, push code only. */

let service: ServiceUnderTest
/** It makes the locks, as people do on their machines. */
let tools: TestBuilder
let channel: CondaChannel
before(async () => {
  channel = await condaChannel()
  tools = await testBuilder()
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_CONDA_CHANNELS: `test=${channel.url}` })
})
after(async () => {
  await service?.close()
  await tools?.[Symbol.asyncDispose]()
  await channel?.[Symbol.asyncDispose]()
})

type Files = Record<string, string>

interface Row {
  /** The file that `auto` takes. */
  name: string
  /** The package that changes, and its two versions. */
  changes: string
  /** What it is imported as; its name where it is left out. */
  module?: string
  versions: [string, string]
  /** What is said of the first version: that it was yanked. */
  yanked?: RegExp
  files(version: string): Promise<Files> | Files
}

/** The first version was yanked. */
const ATTRS = { changes: 'attrs', module: 'attr', versions: ['21.1.0', '21.2.0'] as [string, string] }
const BY_UV = '`attrs==21\\.1\\.0` is yanked \\(reason: "\\w.*"\\)$'

const virtual = (version: string) =>
  `[project]\nname = "wood"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["attrs==${version}"]\n`

const poetryProject = (version: string) =>
  `[tool.poetry]\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = "^3.9"\nattrs = "${version}"\n`

async function condaList(version: string): Promise<string> {
  const packages = ['linux-64/python-3.11.7-h1a2b3c4_0.conda', 'linux-64/pylibs-12-0.conda']
  const lines = await channel.lines([...packages, `noarch/greet-${version}-pyh0_0.tar.bz2`])
  return ['@EXPLICIT', ...lines, ''].join('\n')
}

/** The lock that the service itself made of requirements: pylock.toml as uv writes it. */
async function pylock(version: string): Promise<string> {
  const project = await service.project(`locks/v${version.replace('.', '-')}`)
  const commit = await project.commit({ 'requirements.txt': `attrs==${version}\n` })
  await project.push(commit)
  const build = await project.built(await project.build(commit))
  return await project.text(`/v1/builds/${build.id}/lock`)
}

const FORMATS: Row[] = [
  {
    ...ATTRS,
    yanked: new RegExp(`^${BY_UV}`),
    name: 'requirements.txt',
    files: (version) => ({ 'requirements.txt': `attrs==${version}\n` }),
  },
  {
    ...ATTRS,
    yanked: new RegExp(`^pylock\\.toml:\\d+: ${BY_UV}`),
    name: 'pylock.toml',
    files: async (version) => ({ 'pylock.toml': await pylock(version) }),
  },
  {
    ...ATTRS,
    yanked: new RegExp(`^${BY_UV}`),
    name: 'pyproject.toml',
    files: (version) => ({ 'pyproject.toml': virtual(version) }),
  },
  {
    ...ATTRS,
    yanked: new RegExp(`^uv\\.lock:\\d+: ${BY_UV}`),
    name: 'uv.lock',
    files: async (version) => {
      const project = { 'pyproject.toml': virtual(version) }
      return { ...project, 'uv.lock': await uvLock(tools, project) }
    },
  },
  {
    ...ATTRS,
    yanked: /^attrs 21\.1\.0 was yanked: \w/,
    name: 'poetry.lock',
    files: async (version) => {
      const project = { 'pyproject.toml': poetryProject(version) }
      return { ...project, 'poetry.lock': await poetryLock(tools.context, '2.5', project) }
    },
  },
  {
    changes: 'greet',
    versions: ['2.0', '2.1'],
    name: 'conda-linux-64.lock',
    files: async (version) => ({ 'conda-linux-64.lock': await condaList(version) }),
  },
  {
    changes: 'greet',
    versions: ['2.0', '2.1'],
    name: 'conda-lock.yml',
    files: async (version) => {
      const source = `channels: [${channel.url}]\ndependencies:\n  - python=3.11\n  - greet=${version}\n`
      return { 'conda-lock.yml': (await condaLocked({ 'environment.yml': source })).unified }
    },
  },
  {
    changes: 'greet',
    versions: ['2.0', '2.1'],
    name: 'environment.yml',
    files: (version) => ({
      'environment.yml': `name: wood\nchannels: [test]\ndependencies:\n  - python=3.11\n  - greet=${version}\n`,
    }),
  },
]

for (const { name, changes, module = changes, versions, yanked, files } of FORMATS) {
  describe(name, () => {
    let project: Project
    let environments: Files[]
    before(async () => {
      project = await service.project(`formats/${name.replaceAll('.', '-')}`)
      environments = [await files(versions[0]), await files(versions[1])]
    })

    async function pushed(
      environment: Files,
      code: string,
    ): Promise<{ commit: string; build: Build; yanked: string[] }> {
      const commit = await project.commit({ ...environment, 'say.py': code })
      await project.push(commit)
      const build = await project.built(await project.build(commit))
      assert.equal(build.state, 'finished', `${build.message}\n${build.hint}`)
      const notes = await project.notes(build.id)
      return { commit, build, yanked: notes.filter((note) => note.includes('yanked')) }
    }

    const code = (text: string) =>
      `import importlib.metadata, ${module}\nprint("${text}", importlib.metadata.version("${changes}"))\n`

    test('is baked, and its packages can be imported', async () => {
      const { commit, build, yanked: said } = await pushed(environments[0] ?? {}, code('first'))
      assert.ok(build.cache?.packages.some((each) => each.name === changes && each.after === versions[0]))
      const { run, stdout } = await project.ran(commit, { args: ['python', 'say.py'] })
      assert.deepEqual([run['exit-code'], stdout.toString()], [0, `first ${versions[0]}\n`])
      assert.equal(said.length, yanked ? 1 : 0, said.join('\n'))
      if (yanked) assert.match(said[0] ?? '', yanked)
    })

    test('one package changes: only that is made, and it is said which and why', async () => {
      const { commit, build, yanked: said } = await pushed(environments[1] ?? {}, code('second'))
      assert.deepEqual(said, [])
      assert.equal(build.cache?.verdict, 'partial')
      assert.ok((build.cache?.['packages-new'] ?? 9) <= 1)
      assert.match(
        build.cache?.reason ?? '',
        new RegExp(`${changes} ${versions[0]} -> ${versions[1]}, because .*changed`),
      )
      const { stdout } = await project.ran(commit, { args: ['python', 'say.py'] })
      assert.equal(stdout.toString(), `second ${versions[1]}\n`)
    })

    test('a push that changes only code is a hit', async () => {
      const { build } = await pushed(environments[1] ?? {}, code('third'))
      assert.equal(build.cache?.verdict, 'hit')
      assert.equal(build.cache?.['bytes-transferred'], 0)
    })
  })
}
