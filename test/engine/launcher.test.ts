import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { follow, PYTHONS, runTask, sha256, testEngine } from '../support/standbys.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const made = testEngine('launcher')
after(made.clean)

const CODE = {
  'package/__init__.py': '',
  'package/work.py': `
import os, sys
def add(a, b=2):
    print('adding')
    return {'sum': a + b, 'cwd': os.getcwd(), 'name': __name__, 'main': sys.modules['__main__'].__name__}
def fail():
    raise ValueError('no such thing')
def as_set():
    return {1, 2}
def not_a_number():
    return float('nan')
def leave():
    os._exit(0)
def leave_with_code():
    sys.exit(7)
def huge():
    return 'x' * (17 << 20)
def large():
    return 'x' * (15 << 20)
value = 5
`,
  'sitecustomize.py': 'OWN = 1\n',
  'late/queue.py': 'raise RuntimeError("found before the standard library")\n',
  'late/mine.py': 'raise RuntimeError("found before site-packages")\n',
  'late/late.py': `
import mine, queue, sys
N = 1
def show():
    print(sys.path[-2:])
`,
  'later/late.py': 'N = 2\n',
  'shop.py': `
import os, sys
class Main:
    @staticmethod
    def run():
        print(sys.argv[1:], 'from', os.path.basename(sys.argv[0]))
def mine():
    print('mine')
`,
  'site/shop-1.0.dist-info/entry_points.txt': `
[console_scripts]
shop = shop:Main.run
id=shop : mine [extra]
../up = shop:mine
no-function = shop

[shop.plugins]
no-program = shop:mine
[gui_scripts]
shop-gui = shop:mine
`,
  'site/other-2.dist-info/entry_points.txt': '[console_scripts]\r\nwhoami = shop:mine\r\n',
  'site/none-3.dist-info/METADATA': '',
  'site/old.egg-info/entry_points.txt': '[console_scripts]\nold-shop = shop:mine\n',
  'broken.py': 'import no_such_package\n',
  // Names of the launcher's own files and of the standard library: the user's win in the user's process.
  'spool.py': 'def mine():\n    return "mine"\n',
  'traceback.py': 'raise RuntimeError("imported by the launcher")\n',
  'big.py': `
import hashlib, os
block = os.urandom(1 << 20)
seen = hashlib.sha256()
for _ in range(100):
    seen.update(block)
    os.write(1, block)
os.write(2, seen.hexdigest().encode())
`,
}

for (const python of PYTHONS) {
  describe(`Python ${python}`, { concurrency: 2 }, () => {
    const standby = (changes = {}) => made.standby(python, CODE, changes)

    test('a command: its output, its exit code, its environment, its folder', async () => {
      const said = await runTask(standby({ env: { GIVEN: 'by the standby', OVER: 'old' } }), {
        command: 'echo "$GIVEN $OVER $SECRET $HOME $LANG"; pwd; id -u; touch made; cat <&0; false | true; echo never',
        env: { OVER: 'new' },
        secrets: { SECRET: 'hush' },
      })
      assert.equal(said.stdout.toString(), 'by the standby new hush /tmp/home C.UTF-8\n/workspace\n1000\n')
      assert.deepEqual([said.outcome.exitCode, said.outcome.signal, said.outcome.oom], [1, null, false])
    })

    test('a function: called with arguments, its result as JSON, its prints as output', async () => {
      const said = await runTask(standby({ preload: ['package.work'] }), { function: 'package.work:add', args: [1] })
      const result = { sum: 3, cwd: '/workspace', name: 'package.work', main: '__main__' }
      assert.deepEqual(said.result, result)
      assert.equal(said.stdout.toString(), 'adding\n')
      assert.equal(said.outcome.exitCode, 0)
      const named = await runTask(standby(), { function: 'package.work:add', args: { a: 1, b: 5 } })
      assert.equal((named.result as typeof result).sum, 6)
    })

    test('for a command, the path of the source comes before PYTHONPATH; without one, Python decides', async () => {
      const env = { PYTHONPATH: '/elsewhere' }
      const command = 'echo "$PYTHONPATH"; cd /; python3 -c "import work; print(work.__name__)"'
      const said = await runTask(standby(), { command, env, sysPath: { first: ['/workspace/package'], behind: [] } })
      assert.equal(said.stdout.toString(), '/workspace/package:/elsewhere\nwork\n', said.stderr)
      assert.equal((await runTask(standby(), { command: 'echo "$PYTHONPATH"' })).stdout.toString(), '\n')
    })

    test('a function sees what a plain python3 would see with its variables: PYTHONPATH, and packages of its user', async () => {
      const own = `/workspace/.local/lib/python${python}/site-packages`
      const files = {
        'app/jobs.py': 'import mine\nfrom linked import name\ndef main():\n    return [mine.__file__, name]\n',
        [`.local/lib/python${python}/site-packages/mine.py`]: '',
        [`.local/lib/python${python}/site-packages/more.pth`]: '/workspace/linked\n',
        'linked/linked.py': 'name = "by a .pth file"\n',
        'other/jobs.py': 'import sys\ndef main():\n    return sys.path\n',
      }
      const made_ = (env: Record<string, string>) =>
        made.standby(python, files, { env, preload: ['jobs'], sysPath: { first: [], behind: [] } })
      const env = { HOME: '/workspace', PYTHONPATH: 'app' }
      const { result, notes, stderr } = await runTask(made_(env), { function: 'jobs:main' })
      assert.deepEqual([result, notes], [[`${own}/mine.py`, 'by a .pth file'], []], stderr)

      const later = { HOME: '/workspace', PYTHONPATH: '/workspace/other:other' }
      const program = 'import jobs; print(*jobs.main(), sep="\\n")'
      const plain = await runTask(made.standby(python, files), { argv: ['python3', '-c', program], env: later })
      const seen = await runTask(made.standby(python, files), { function: 'jobs:main', env: later })
      assert.deepEqual(seen.result, ['/workspace', ...plain.stdout.toString().trimEnd().split('\n').slice(1)])
    })

    test('what was behind the standard library and site-packages is so again, for every Python and beside a sitecustomize', async () => {
      const sysPath = { first: ['/workspace'], behind: ['/workspace/late', '/workspace/later'] }
      const env = { HOME: '/workspace' }
      const files = { ...CODE, [`.local/lib/python${python}/site-packages/mine.py`]: '' }
      const program =
        'import mine, queue, late, sitecustomize as s; print(queue.Queue.__name__, late.N, s.__file__, s.OWN)'
      const said = await runTask(made.standby(python, files, { env }), {
        command: `cd /; python3 -c "${program}"; python3 -c 'import os; os.system("python3 -c \\"import late; late.show()\\"")'`,
        sysPath,
      })
      const show = "['/workspace/late', '/workspace/later']\n"
      assert.equal(said.stdout.toString(), `Queue 1 /workspace/sitecustomize.py 1\n${show}`, said.stderr)
      const early = made.standby(python, files, { env, preload: ['late'], sysPath })
      const called = await runTask(early, { function: 'late:show', sysPath })
      assert.equal(called.stdout.toString(), show)
      assert.deepEqual(called.notes, [])
    })

    test('a command finds the programs of packages that lie in the code', async () => {
      const said = await runTask(standby(), {
        command: 'shop a b; old-shop; command -v shop-gui; command -v no-program ../up || true; whoami; id',
        sysPath: { first: ['/workspace'], behind: ['/workspace/site'] },
      })
      assert.equal(
        said.stdout.toString(),
        "['a', 'b'] from shop\nmine\n/.meadow/bin/shop-gui\nmine\nmine\n",
        said.stderr,
      )
      assert.equal(said.outcome.exitCode, 0)
    })

    test('a function that raises: the traceback as Python prints it, without the launcher', async () => {
      const said = await runTask(standby(), { function: 'package.work:fail' })
      assert.match(
        said.stderr,
        /^Traceback \(most recent call last\):\n {2}File "\/workspace\/package\/work.py", line 7, in fail\n/,
      )
      assert.match(said.stderr, /\nValueError: no such thing\n$/)
      assert.doesNotMatch(said.stderr, /meadow/)
      assert.deepEqual([said.outcome.exitCode, said.outcome.error], [1, null])
    })

    const failures: [string, string, RegExp, RegExp][] = [
      ['package.work:nope', 'function-missing', /package\.work has no function nope/, /add/],
      ['package.work:value', 'function-missing', /not a function but int/, /./],
      ['no_such:main', 'module-not-importable', /No module named 'no_such'/, /as it is imported/],
      ['broken:main', 'module-not-importable', /No module named 'no_such_package'/, /environment file/],
      ['package.work:as_set', 'result-not-json', /set is not JSON/, /return lists/],
      ['package.work:not_a_number', 'result-not-json', /not JSON/, /finite/],
      ['package.work:leave', 'no-result', /before it returned/, /return/],
    ]
    for (const [name, code, message, hint] of failures) {
      test(`${name} fails as ${code}`, async () => {
        const { outcome, result } = await runTask(standby(), { function: name })
        assert.equal(outcome.error?.code, code)
        assert.match(outcome.error?.message ?? '', message)
        assert.match(outcome.error?.hint ?? '', hint)
        assert.equal(result, undefined)
      })
    }
  })
}

// By itself: it looks at the memory of the whole process.
for (const python of PYTHONS) {
  test(`Python ${python}: 100 MB of output arrive whole`, async () => {
    const run = (await made.standby(python, CODE)).run({ argv: ['python3', 'big.py'] })
    const seen = createHash('sha256')
    let said = ''
    let highest = 0
    let frames = 0
    for await (const frame of run.frames) {
      if (frame.kind === 'stdout') seen.update(frame.bytes)
      if (frame.kind === 'stderr') said += frame.bytes
      if (frames++ % 300 === 0) {
        // Buffers are freed in the background: the second time waits for what the first one found.
        collectGarbage()
        collectGarbage()
        highest = Math.max(highest, process.memoryUsage().arrayBuffers)
      }
    }
    await run.destroy()
    assert.equal(seen.digest('hex'), said)
    assert.ok(highest < 32 << 20, `${highest} bytes of buffers at a time`)
  })
}

describe('whatever the version', { concurrency: 2 }, () => {
  const standby = (changes = {}) => made.standby('3.11', CODE, changes)

  test('output without a newline, and bytes that are not text', async () => {
    const program = 'import os; os.write(1, bytes(range(256)) + b"no newline"); os.write(2, b"\\xff")'
    const said = await runTask(standby(), { argv: ['python3', '-c', program] })
    const expected = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.from('no newline')])
    assert.equal(sha256(said.stdout), sha256(expected))
  })

  test('a command that does not exist, one that may not be executed, a folder that does not exist', async () => {
    const missing = await runTask(standby(), { argv: ['no-such-command'] })
    assert.deepEqual([missing.outcome.exitCode, missing.outcome.error?.code], [127, 'command-not-found'])
    const text = await runTask(standby(), { argv: ['./big.py'] })
    assert.deepEqual([text.outcome.exitCode, text.outcome.error?.code], [126, 'command-not-executable'])
    const folder = await runTask(standby(), { command: 'true', cwd: '/workspace/nope' })
    assert.equal(folder.outcome.error?.code, 'working-directory')
    const zero = await runTask(standby(), { argv: ['echo', 'a\0b'] })
    assert.equal(zero.outcome.error?.code, 'command-not-executable')
  })

  test('results near the limit pass, beyond it are refused', async () => {
    const large = await runTask(standby({ memory: 512 << 20 }), { function: 'package.work:large' })
    assert.equal((large.result as string).length, 15 << 20)
    const huge = await runTask(standby({ memory: 512 << 20 }), { function: 'package.work:huge' })
    assert.equal(huge.outcome.error?.code, 'result-too-large')
  })

  test("the user's modules win over names of the launcher, and sys.exit in a function is an exit code", async () => {
    assert.equal((await runTask(standby(), { function: 'spool:mine' })).result, 'mine')
    assert.equal((await runTask(standby(), { function: 'package.work:leave_with_code' })).outcome.exitCode, 7)
    const said = await runTask(standby(), { function: 'package.work:fail' })
    assert.match(said.stderr, /ValueError: no such thing/)
  })

  test('multiprocessing works in a function', async () => {
    const code = {
      'pool.py': `
import multiprocessing
def square(n):
    return n * n
def main():
    context = multiprocessing.get_context('spawn')
    with context.Pool(2) as pool:
        return pool.map(square, [1, 2, 3])
`,
    }
    const said = await runTask(made.standby('3.13', code), { function: 'pool:main' })
    assert.deepEqual(said.result, [1, 4, 9], said.stderr)
  })

  test('a preload that fails, ends the process or takes too long is a note; the run works', async () => {
    const code = {
      'raises.py': 'raise OSError("disk")',
      'ends.py': 'import os; os._exit(3)',
      'slow.py': 'import time; time.sleep(3600)',
      'fine.py': 'def main():\n    return 1\n',
    }
    const task = { function: 'fine:main' }
    const run = (preload: string[], limit = 60_000) =>
      runTask(made.standby('3.11', code, { preload, launcher: { preload: limit } }), task)
    const [raises, ends, slow] = await Promise.all([run(['raises', 'fine']), run(['ends']), run(['slow'], 300)])
    assert.deepEqual(raises?.notes, ['preloading raises failed: OSError: disk'])
    assert.match(ends?.notes.join() ?? '', /preloading ends ended its process \(exit code 3\)/)
    assert.match(slow?.notes.join() ?? '', /preloading slow did not finish in 0.3 s/)
    for (const said of [raises, ends, slow]) assert.equal(said?.result, 1)
  })

  test('a waiting process that dies is replaced', async () => {
    const dying = 'import os, threading\nthreading.Timer(0.1, lambda: os._exit(9)).start()\n'
    const waiting = await made.standby('3.11', { ...CODE, 'dying.py': dying }, { preload: ['dying'] })
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const said = await follow(waiting.run({ function: 'package.work:add', args: [1] }))
    assert.match(said.notes.join(), /the waiting process ended \(exit code 9\); the run has a new one/)
    assert.equal((said.result as { sum: number }).sum, 3)
  })

  test('what a preload prints comes out as output of the run', async () => {
    const code = { 'loud.py': 'print("loading")\ndef main():\n    print("running")\n' }
    const said = await runTask(made.standby('3.11', code, { preload: ['loud'] }), { function: 'loud:main' })
    assert.equal(said.stdout.toString(), 'loading\nrunning\n')
  })

  for (const user of ['1000:1000', '0:0']) {
    test(`a process of user ${user} cannot write frames of its own, nor kill the launcher`, async () => {
      const command = 'echo x > /proc/1/fd/1 || cat /proc/1/environ || kill -9 1; echo still'
      const said = await runTask(standby({ user }), { command })
      assert.equal(said.stderr.match(/Permission denied/g)?.length, 2, said.stderr)
      assert.equal(said.stdout.toString(), 'still\n')
    })
  }

  test('a slow reader slows the process', async () => {
    const program = 'import os\nfor n in range(64): os.write(1, bytes(1 << 20))\nopen("/tmp/done", "w")'
    const run = (await standby()).run({ argv: ['python3', '-c', program] })
    const container = made.engine.container(run.containerId)
    let taken = 0
    for await (const frame of run.frames) {
      if (frame.kind === 'stdout') taken += frame.bytes.length
      if (taken === 0 || taken > 1 << 20) continue
      // Without a brake it would be done in far less than these waits together.
      await new Promise((resolve) => setTimeout(resolve, 50))
      await assert.rejects(container.get('/tmp/done'))
    }
    await run.destroy()
    assert.equal(taken, 64 << 20)
  })

  test('nothing but stdin, stdout and stderr is inherited', async () => {
    const program = 'import os; print(sorted(os.listdir("/proc/self/fd")), os.readlink("/proc/self/fd/0"))'
    const said = await runTask(standby(), { argv: ['python3', '-c', program] })
    // 3 is the folder that is being listed.
    assert.equal(said.stdout.toString(), "['0', '1', '2', '3'] /dev/null\n")
  })

  test('root without capabilities may write what is its own', async () => {
    const said = await runTask(standby({ user: '0:0' }), {
      command: 'touch made ~/made && id -u && grep CapEff /proc/self/status',
    })
    assert.equal(said.stdout.toString(), '0\nCapEff:\t0000000000000000\n')
  })
})

describe('ends', { concurrency: 2 }, () => {
  const standby = (changes = {}) => made.standby('3.11', CODE, changes)

  test('cancel: SIGTERM to the group, and the run may still say something', async () => {
    const run = (await standby()).run({
      command: 'trap "echo bye; exit 4" TERM; echo up; while :; do sleep 0.05; done',
    })
    const said = follow(run)
    setTimeout(() => run.cancel(5_000), 300)
    const { stdout, outcome } = await said
    assert.equal(stdout.toString(), 'up\nbye\n')
    assert.deepEqual([outcome.exitCode, outcome.reason], [4, 'cancelled'])
  })

  test('a process that ignores SIGTERM is killed after the grace', async () => {
    const run = (await standby()).run({ command: 'trap "" TERM; while :; do sleep 0.05; done' })
    setTimeout(() => run.cancel(200), 300)
    const { outcome } = await follow(run)
    assert.deepEqual([outcome.exitCode, outcome.signal, outcome.reason], [null, 'SIGKILL', 'cancelled'])
  })

  test('a time limit is met by the launcher', async () => {
    const { outcome } = await runTask(standby(), { argv: ['sleep', '100'], timeout: 200 })
    assert.deepEqual([outcome.signal, outcome.reason], ['SIGTERM', 'timeout'])
    assert.ok(outcome.seconds >= 0.2)
  })

  test('what a process leaves behind is killed and does not hold up the end', async () => {
    const { stdout, outcome } = await runTask(standby(), {
      command: 'setsid sleep 1000 & setsid nohup sleep 1000 & echo done',
    })
    assert.equal(stdout.toString(), 'done\n')
    assert.equal(outcome.exitCode, 0)
    assert.ok(outcome.seconds < 30)
  })

  test('what it leaves behind may finish what it is about to print', async () => {
    const { stdout } = await runTask(standby(), { command: '(sleep 0.2; echo late) & echo early' })
    assert.equal(stdout.toString(), 'early\nlate\n')
  })

  test('memory: the outcome says so, whichever process was killed', async () => {
    const hog = 'b = []\nwhile True: b.append(bytes(1 << 20))'
    const small = { memory: 64 << 20 }
    const itself = await runTask(standby(small), { argv: ['python3', '-c', hog] })
    assert.deepEqual([itself.outcome.signal, itself.outcome.oom], ['SIGKILL', true])
    const child = await runTask(standby(small), { command: `python3 -c '${hog}' || exit 9` })
    assert.deepEqual([child.outcome.exitCode, child.outcome.oom], [9, true])
  })

  test('a fork bomb meets the limit on processes, and the launcher still tells', async () => {
    const bomb =
      'import os\nfor n in range(1000):\n  try:\n    if os.fork() == 0: os.pause() if hasattr(os, "pause") else __import__("signal").pause()\n  except OSError as e: print(n, e.strerror); break'
    const { stdout, outcome } = await runTask(standby({ pids: 32 }), { argv: ['python3', '-c', bomb] })
    assert.match(stdout.toString(), /^(2\d|30) Resource temporarily unavailable\n$/)
    assert.equal(outcome.exitCode, 0)
  })

  test('a signal that a process dies of has its name', async () => {
    const { outcome } = await runTask(standby(), { command: 'kill -SEGV $$' })
    assert.deepEqual([outcome.exitCode, outcome.signal], [null, 'SIGSEGV'])
  })
})
