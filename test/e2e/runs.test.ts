import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { Project, Told } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** Runs of one commit: what is asked for, and what comes of it. */

const MIB = 2 ** 20
const LARGE = 100_000_000
const FILES = {
  'requirements.txt': 'six==1.16.0\n',
  'shop/__init__.py': '',
  'shop/sums.py': `import os, sys

def add(a, b=0, *, times=1):
    print("adding", a, b)
    return {"sum": [(a + b) * times], "none": None, "text": "\\u00fc\\n"}

def fail(word):
    def inner():
        raise ValueError(word)
    inner()

def unfit():
    return {"a": {1, 2}}

def leave():
    sys.exit(0)
`,
  'src/deep/module.py': 'import os\nprint("imported", os.getcwd())\n\ndef where():\n    return os.getcwd()\n',
  'broken.py': 'import no_such_module\n',
  'large.py': `import sys
line = b"%012d " + b"x" * 86 + b"\\n"
for number in range(${LARGE} // 100):
    sys.stdout.buffer.write(line % number)
`,
}

let service: ServiceUnderTest
let project: Project
let commit: string
before(async () => {
  service = await ServiceUnderTest.start({ MEADOW_NODE_MEMORY: '1GiB', MEADOW_RUN_DISK: '100MB' })
  project = await service.project('octo/shop')
  commit = await project.commit(FILES)
  await project.push(commit)
  const build = await project.built(await project.build(commit))
  assert.equal(build.state, 'finished', build.message)
  await service.standbysOf([build.image ?? ''])
})
after(() => service?.close())

const text = (bytes: Buffer) => bytes.toString()

test('a shell line: its output, its streams, its exit code', async () => {
  const { run, stdout, stderr, told, notes } = await project.ran(commit, {
    command: 'echo out; echo err >&2; test -f shop/sums.py && exit 42',
  })
  assert.deepEqual([text(stdout), text(stderr)], ['out\n', 'err\n'])
  assert.deepEqual([run.outcome, run['exit-code'], run.cache], ['failed', 42, 'hit'])
  assert.deepEqual(notes, ['environment: requirements.txt (requirements.txt), detected at the root'], 'it was warm')
  assert.deepEqual(
    told.map(({ event }) => event.seq),
    told.map((_, index) => index + 1),
  )
  const last = told.at(-1)?.event
  assert.ok(last?.kind === 'state' && last.outcome === 'failed' && last['exit-code'] === 42, JSON.stringify(last))
})

test('a failure anywhere in a pipe counts, and no line behind it is run', async () => {
  const { run, stdout } = await project.ran(commit, { command: 'false | cat\necho behind' })
  assert.deepEqual([run.outcome, run['exit-code'], text(stdout)], ['failed', 1, ''])
})

test('arguments go to the program as they are', async () => {
  const program = 'import json, sys; print(json.dumps(sys.argv[1:]))'
  const given = ['$HOME', 'a  b', '*', '"', 'ü']
  const { run, stdout } = await project.ran(commit, { args: ['python', '-c', program, ...given] })
  assert.deepEqual([run.outcome, JSON.parse(text(stdout))], ['ok', given])
})

test('a program that is not there is named', async () => {
  const { run } = await project.ran(commit, { args: ['no-such-program', 'x'] })
  assert.equal(run.outcome, 'failed')
  assert.match(run.message ?? '', /no-such-program/)
  assert.ok(run.hint)
})

test('a function: list and keyword arguments, prints, and its result as JSON', async () => {
  const list = await project.ran(commit, { function: 'shop.sums:add', 'function-args': [1, 2] })
  assert.deepEqual([list.run.outcome, text(list.stdout)], ['ok', 'adding 1 2\n'])
  assert.deepEqual(list.result, { sum: [3], none: null, text: 'ü\n' })
  const named = await project.ran(commit, { function: 'shop.sums:add', 'function-args': { a: 1, times: 5 } })
  assert.deepEqual(named.result, { sum: [5], none: null, text: 'ü\n' })
  assert.deepEqual(await project.call('GET', `/v1/runs/${named.run.id}/result`), { value: named.result })
})

test('a function that raises: its traceback, and nothing of ours', async () => {
  const { run, stderr, result } = await project.ran(commit, { function: 'shop.sums:fail', 'function-args': ['oh no'] })
  assert.deepEqual([run.outcome, run['exit-code'], result], ['failed', 1, undefined])
  assert.match(
    text(stderr),
    /^Traceback \(most recent call last\):\n {2}File "\/workspace\/shop\/sums\.py", line 10, in fail\n {4}inner\(\)\n.*ValueError: oh no\n$/s,
  )
  assert.doesNotMatch(text(stderr), /launcher|meadow/)
})

for (const [what, name, message] of [
  ['whose module is not there', 'shop.nothing:add', /shop\.nothing/],
  ['that is not there', 'shop.sums:nothing', /shop\.sums.*nothing/],
  ['whose module needs one that is not there', 'broken:f', /no_such_module/],
  ['that returns something else than JSON', 'shop.sums:unfit', /JSON|set/],
  ['that ends the process', 'shop.sums:leave', /ended the process before it returned/],
] as const) {
  test(`a function ${what}`, async () => {
    const { run, stderr } = await project.ran(commit, { function: name })
    assert.equal(run.outcome, 'failed')
    assert.match(`${run.message}\n${text(stderr)}`, message)
    assert.doesNotMatch(text(stderr), /launcher|meadow/)
  })
}

test('variables, the folder to run in, and the folder that is imported from', async () => {
  const env = { GREETING: 'hello $HOME "x"\n', PYTHONHASHSEED: '7' }
  const said = await project.ran(commit, {
    command: 'printf %s "$GREETING"; echo "$PYTHONHASHSEED $(id -u)"; pwd',
    env,
  })
  assert.match(text(said.stdout), /^hello \$HOME "x"\n7 \d+\n\/workspace\n$/)
  const inside = await project.ran(commit, { command: 'pwd', 'working-directory': 'src/deep' })
  assert.equal(text(inside.stdout), '/workspace/src/deep\n')
  const source = await project.ran(commit, { function: 'deep.module:where', 'path-to-source': 'src' })
  assert.deepEqual([source.result, text(source.stdout)], ['/workspace/src', 'imported /workspace/src\n'])
  const nowhere = await project.ran(commit, { command: 'pwd', 'working-directory': 'no/such' })
  assert.equal(nowhere.run.outcome, 'failed')
  assert.match(nowhere.run.message ?? '', /no\/such/)
})

test('the environment is its own: no network where none is asked for, no way to what runs it', async () => {
  const program = `
import os, socket
print(sorted(os.listdir("/sys/class/net")))
for path in ("/var/run/docker.sock", "/opt/meadow/ca.pem"): assert not os.path.exists(path), path
print([name for name in os.environ if "MEADOW" in name or "TOKEN" in name or "SECRET" in name])
with open("/workspace/written", "w") as file: file.write("x")
`
  const { run, stdout, stderr } = await project.ran(commit, { args: ['python', '-c', program], network: 'none' })
  assert.equal(run.outcome, 'ok', text(stderr))
  assert.equal(text(stdout), "['lo']\n[]\n")
})

test('a time limit ends it, with all that it said before', async () => {
  const { run, stdout } = await project.ran(commit, { command: 'echo begun; exec sleep 600', timeout: 700 })
  assert.deepEqual([run.outcome, run['exit-code'], text(stdout)], ['timeout', undefined, 'begun\n'])
  assert.ok(run.message && run.hint)
})

test('a cancel asks it to end, and what it says to that still comes', async () => {
  const command = 'trap "echo ending; exit 3" TERM; echo begun; while :; do sleep 0.1; done'
  const id = await project.submit(commit, { command })
  await project.printedUntil(id, 'begun')
  await project.cancel(id)
  const { run, stdout } = await project.ended(id)
  assert.deepEqual([run.outcome, text(stdout)], ['cancelled', 'begun\nending\n'])
  await project.cancel(id)
  assert.equal((await project.run(id)).outcome, 'cancelled')
})

test('output without an end of line comes while it runs', async () => {
  const id = await project.submit(commit, { command: 'printf "no end"; read -r _ < <(sleep 600)' })
  await project.printedUntil(id, 'no end')
  assert.equal((await project.run(id)).state, 'running')
  await project.cancel(id)
  assert.equal(text((await project.ended(id)).stdout), 'no end')
})

test('bytes come as they are', async () => {
  const program = `
import hashlib, os, sys
data = bytes(range(256)) * 41 + os.urandom(200_000) + "\\u00fc".encode()[:1]
for start in range(0, len(data), 977):
    os.write(1, data[start:start + 977])
sys.stderr.write(hashlib.sha256(data).hexdigest())
`
  const { stdout, stderr } = await project.ran(commit, { args: ['python', '-c', program] })
  assert.equal(stdout.length, 256 * 41 + 200_000 + 1)
  assert.equal(createHash('sha256').update(stdout).digest('hex'), text(stderr))
})

test('100 MB of output arrive, in order, through a service that stays small', async () => {
  const before = await memory('VmRSS')
  const id = await project.submit(commit, { command: 'python large.py' })
  let rest = Buffer.alloc(0)
  let number = 0
  for await (const { event } of project.events(id)) {
    assert.notEqual(event.kind, 'gap')
    if (event.kind !== 'log') continue
    rest = Buffer.concat([rest, Buffer.from(event.text ?? '')])
    for (; rest.length >= 100; rest = rest.subarray(100), number++)
      assert.ok(rest.toString('latin1', 0, 13) === `${String(number).padStart(12, '0')} ` && rest[99] === 10)
  }
  assert.deepEqual([number, rest.length], [LARGE / 100, 0])
  assert.equal((await project.run(id)).outcome, 'ok')
  const most = await memory('VmHWM')
  assert.ok(most < before + 200 * MIB, `${before} grew to ${most}`)
})

test('more memory, or more disk, than its limit', async () => {
  const [oom, disk] = await Promise.all([
    project.ran(commit, { args: ['python', '-c', 'x = bytearray(10**9)'], memory: 64 * MIB }),
    project.ran(commit, { command: 'head -c 150M /dev/zero > /tmp/large; echo written; sleep 60', memory: 512 * MIB }),
  ])
  assert.deepEqual([oom.run.outcome, disk.run.outcome], ['oom', 'disk-limit'])
  for (const { run } of [oom, disk]) assert.ok(run.message && run.hint, JSON.stringify(run))
})

test('what the node has no room for waits in line, and hears how many are ahead', async () => {
  const wait = { command: 'echo begun; exec sleep 600', memory: 512 * MIB }
  const holders = [await project.submit(commit, wait), await project.submit(commit, wait)]
  for (const id of holders) await project.printedUntil(id, 'begun')
  const ahead = (count: number) => (event: Told['event']) => event.kind === 'state' && event.ahead === count
  const third = await project.submit(commit, { ...wait, command: 'echo third' })
  await project.eventsUntil(third, ahead(0))
  const fourth = await project.submit(commit, { ...wait, command: 'echo fourth', memory: 64 * MIB })
  await project.eventsUntil(fourth, ahead(1))
  const fifth = await project.submit(commit, wait)
  await project.eventsUntil(fifth, ahead(2))
  await project.cancel(fifth)
  assert.equal((await project.ended(fifth)).run.outcome, 'cancelled')
  assert.equal((await project.run(third)).state, 'queued')

  await project.cancel(holders[0] ?? '')
  const [one, two] = await Promise.all([project.ended(third), project.ended(fourth)])
  assert.deepEqual([text(one.stdout), text(two.stdout)], ['third\n', 'fourth\n'])
  assert.ok(two.told.some(({ event }) => ahead(0)(event)))
  await project.cancel(holders[1] ?? '')
  for (const id of holders) assert.equal((await project.ended(id)).run.outcome, 'cancelled')
})

test('a run that is larger than the node is refused, with what the node has, before anything is built', async () => {
  const other = await project.commit({ 'requirements.txt': 'six==1.15.0\n' })
  const { run } = await project.ran(other, { command: 'true', memory: 2048 * MIB })
  assert.equal(run.build, undefined)
  assert.equal(run.outcome, 'error')
  assert.match(run.message ?? '', /2048 MiB of memory.*asked for.*the node has 1024 MiB/)
  assert.match(run.hint ?? '', /MEADOW_NODE_MEMORY/)
})

async function memory(field: string): Promise<number> {
  const status = readFileSync(`/proc/${await service.pid()}/status`, 'utf8')
  return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1])
}
