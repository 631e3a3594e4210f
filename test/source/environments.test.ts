import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CondaPlatform } from '../../common/conda-files.ts'
import { environmentsOf } from '../../service/source/environments.ts'
import { runSteps } from '../../service/source/workflow.ts'

const all = async (files: Record<string, string>, platform: CondaPlatform = 'linux-64') =>
  await environmentsOf(
    {
      paths: async () => Object.keys(files),
      read: async (path) => (files[path] === undefined ? undefined : Buffer.from(files[path])),
    },
    { repository: 'owner/name', platform },
  )
const asked = async (files: Record<string, string>) => {
  const { environments, notes } = await all(files)
  return { requests: environments.map(({ interpreter }) => interpreter), notes }
}
const workflow = (steps: string, job = '') => ({
  'requirements.txt': '',
  '.github/workflows/ci.yml': `on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n${job}    steps:\n${steps}`,
})

test('without a step of ours, the file at the root', async () => {
  const auto = { requests: [{ interpreter: 'auto' }], notes: [] }
  assert.deepEqual(await asked({ 'requirements.txt': '' }), auto)
  assert.deepEqual(await asked(workflow('      - uses: actions/checkout@v4\n      - run: meadow/run@v1\n')), auto)
  const arm = await all({ 'conda-linux-aarch64.lock': '' }, 'linux-aarch64')
  assert.deepEqual(
    arm.environments.map(({ interpreter }) => interpreter),
    auto.requests,
  )
  assert.deepEqual((await all({ 'conda-linux-aarch64.lock': '' })).environments, [])
  const { requests, notes } = await asked({ 'README.md': '' })
  assert.deepEqual(requests, [])
  assert.match(notes.join(), /nothing is prebuilt: .*no environment file/)
})

test('the steps of all workflows, each request once', async () => {
  const { requests, notes } = await asked({
    ...workflow(`
      - uses: Meadow/Run@v1
        with: { command: pytest, Interpreter: ./requirements/dev.txt, python-version: '3.11' }
      - uses: meadow/run@0123456789012345678901234567890123456789
        with: { command: ls }
      - uses: other/run@v1
        with: { interpreter: not-ours.txt }
`),
    '.github/workflows/b.yaml': 'jobs: {x: {steps: [{uses: meadow/run@v1, with: {interpreter: "", command: ls}}]}}',
    '.github/workflows/deep/c.yml': 'jobs: {x: {steps: [{uses: meadow/run@v1, with: {interpreter: c.txt}}]}}',
    'other.yml': 'jobs: {x: {steps: [{uses: meadow/run@v1, with: {interpreter: d.txt}}]}}',
  })
  assert.deepEqual(requests, [
    { interpreter: 'requirements/dev.txt', 'python-version': '3.11' },
    { interpreter: 'auto' },
  ])
  assert.deepEqual(notes, [])
})

test('a matrix that is written out is expanded, other expressions are noted', async () => {
  const matrix = `    strategy:
      matrix:
        python: ['3.9', '3.11']
        os: [linux, mac]
        more: \${{ fromJSON(needs.x.outputs.y) }}
        include:
          - python: '3.13'
            experimental: true
        exclude: [{ os: mac }]
`
  const { requests, notes } = await asked(
    workflow(
      `
      - uses: meadow/run@v1
        with: { python-version: '\${{ matrix.python }}', interpreter: 'req-\${{matrix.os}}.txt' }
      - uses: meadow/run@v1
        with: { interpreter: '\${{ matrix.more }}' }
      - uses: meadow/run@v1
        with: { interpreter: '\${{ inputs.file }}', command: x }
      - uses: meadow/run@v1
        with: { command: '\${{ secrets.X }}' }
`,
      matrix,
    ),
  )
  const expected = ['3.9', '3.11', '3.13'].flatMap((version) =>
    ['linux', 'mac'].map((os) => ({ interpreter: `req-${os}.txt`, 'python-version': version })),
  )
  const sorted = (list: object[]) => list.map((each) => JSON.stringify(Object.entries(each).sort())).sort()
  assert.deepEqual(sorted(requests), sorted([...expected, { interpreter: 'auto' }]))
  assert.equal(notes.length, 2)
  assert.match(notes[0] ?? '', /^\.github\/workflows\/ci\.yml: job "test", step 2: interpreter: an expression/)
})

test('containers wait with what the steps say: one environment, each shape once', async () => {
  const { environments, notes } = await all(
    workflow(
      `
      - uses: meadow/run@v1
        with: { command: a, memory: '\${{ matrix.memory }}', cpus: 0.5, preload: 'numpy, pandas' }
      - uses: meadow/run@v1
        with: { command: b, memory: 4096MiB, cpus: '.5', preload: numpy pandas, path-to-source: ./ }
      - uses: meadow/run@v1
        with: { command: c, network: none, path-to-source: ./src/ }
      - uses: meadow/run@v1
        with: { command: d, memory: '\${{ inputs.memory }}' }
      - uses: meadow/run@v1
        with: { command: e, memory: a lot }
      - uses: meadow/run@v1
        with: { command: f, submodules: true, lfs: 'false', memory: 1GiB }
`,
      '    strategy: {matrix: {memory: [4GiB, 8GiB]}}\n',
    ),
  )
  const [plain, submodules] = environments
  const heavy = { cpus: 0.5, preload: ['numpy', 'pandas'] }
  assert.deepEqual(plain, {
    interpreter: { interpreter: 'auto' },
    code: {},
    shapes: [
      { ...heavy, memory: 4 * 2 ** 30 },
      { ...heavy, memory: 8 * 2 ** 30 },
      { network: 'none', 'path-to-source': 'src', preload: [] },
      { preload: [] },
    ],
  })
  assert.deepEqual(submodules?.code, { submodules: true, lfs: false })
  assert.deepEqual(submodules?.shapes, [{ memory: 2 ** 30, preload: [] }])
  assert.equal(environments.length, 2)
  assert.equal(notes.length, 2)
  assert.match(notes[0] ?? '', /step 4: memory: an expression that is known only when it runs; left out$/)
  assert.match(notes[1] ?? '', /step 5: memory: must be a size like 512MiB or 2GiB; not prebuilt$/)
})

test('steps for other repositories and wrong values are noted', async () => {
  const { requests, notes } = await asked(
    workflow(`
      - uses: meadow/run@v1
        with: { repository: other/one, interpreter: x.txt }
      - uses: meadow/run@v1
        with: { repository: Owner/Name, python-version: 3 }
`),
  )
  assert.deepEqual(requests, [])
  assert.match(notes.join('\n'), /step 1: runs code of other\/one.*\n.*step 2: python-version: must look like 3\.11/)
})

test('hostile and broken workflows are noted in bounded time', async () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'.replace(/./g, (c, n) => `${c}: &${c} [${`*${'abcdefghij'[n]},`.repeat(9)}]\n`)}`
  for (const content of [bomb, `jobs: ${'['.repeat(50_000)}`, 'jobs: {a: ', 'a: 1\na: 2', 'x'.repeat(2 ** 20 + 1)]) {
    const { requests, notes } = await asked({ 'requirements.txt': '', '.github/workflows/x.yml': content })
    assert.deepEqual(requests, [{ interpreter: 'auto' }])
    assert.match(notes.join(), /^\.github\/workflows\/x\.yml: .*; ignored$/, content.slice(0, 20))
  }
  for (const content of [
    '',
    'null',
    '[]',
    'jobs: 3',
    'jobs: {a: {steps: {uses: meadow/run@v1}}}',
    'jobs: {a: {steps: [1]}}',
  ]) {
    assert.deepEqual((await asked({ 'requirements.txt': '', '.github/workflows/x.yml': content })).notes, [], content)
  }
  const many = Array.from({ length: 12 }, (_, n) => String(n)).join(',')
  const { notes } = await asked(
    workflow(
      `      - {uses: meadow/run@v1, with: {interpreter: '\${{matrix.a}}\${{matrix.b}}'}}\n`,
      `    strategy: {matrix: {a: [${many}], b: [${many}]}}\n`,
    ),
  )
  assert.equal(notes.length, 1)
})

test('whatever is in a workflow, reading it gives steps or says why not', () => {
  const yamlish = fc.string({ unit: fc.constantFrom(...'ab:-{}[]&*!|>\'"#\n \t?,'), maxLength: 60 })
  fc.assert(
    fc.property(fc.oneof(yamlish, fc.json()), (text) => {
      try {
        assert.ok(Array.isArray(runSteps(Buffer.from(`jobs:\n  x:\n    steps: ${text}`))))
      } catch (error) {
        assert.equal((error as Error).name, 'WorkflowUnreadable')
      }
    }),
    { numRuns: 500 },
  )
})
