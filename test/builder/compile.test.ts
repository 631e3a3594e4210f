import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { readTar } from '../../common/read-tar.ts'
import type { Builder, Compiled, CompileRequest, Compiling, ResolveOptions } from '../../service/builder/builder.ts'
import { LimitReached } from '../../service/builder/context.ts'
import { Step } from '../../service/builder/step.ts'
import { dockerEngine } from '../../service/engine/docker.ts'
import { EngineUnavailable } from '../../service/engine/engine.ts'
import type { BaseImage } from '../../service/image/base.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'
import { makeFragment } from '../support/fragments.ts'
import { socketProxy } from '../support/socket-proxy.ts'

let parts: TestBuilder
before(async () => {
  parts = await testBuilder()
})
after(() => parts[Symbol.asyncDispose]())

const SITE = 'opt/env/lib/python3/site-packages'

/** Stores an artifact and gives the request to compile it. */
async function artifact(key: string, sources: Record<string, string>): Promise<CompileRequest> {
  const files = Object.entries(sources).map(([path, content]) => ({ path: `${SITE}/${key}/${path}`, content }))
  const { bytes, fragment } = makeFragment(files)
  await parts.blobs.put(bytes)
  return { key, files: fragment }
}

/** Packages of the base's own standard library, as artifacts. */
async function realArtifacts(reference: string, python: string): Promise<CompileRequest[]> {
  await using step = await Step.open(
    parts.context,
    { name: 'reading', image: reference, command: ['python3'], network: 'none' },
    STEP,
  )
  const requests: CompileRequest[] = []
  for (const name of ['json', 'logging', 'email', 'asyncio']) {
    const sources: Record<string, string> = {}
    for await (const { entry, content } of readTar(await step.container.get(`/usr/lib/python${python}/${name}`))) {
      if (entry.path.endsWith('.py')) sources[entry.path] = (await buffer(Readable.from(content))).toString()
    }
    requests.push(await artifact(name, sources))
  }
  return requests
}

async function compileAll(python: '3.9' | '3.11' | '3.13', requests: CompileRequest[], cpus = 2) {
  return await compiledBy(parts.another({ limits: { cpus } }), await testBase(python), requests)
}

function by(base: BaseImage): Compiling {
  return { id: base.digest, image: async () => base }
}

async function compiledBy(
  builder: Builder,
  base: BaseImage,
  requests: Iterable<CompileRequest> | AsyncIterable<CompileRequest>,
  options: ResolveOptions = STEP,
): Promise<Map<string, Compiled>> {
  const found = new Map<string, Compiled>()
  await builder.compile(by(base), requests, options, async (one) => void found.set(one.key, one))
  return found
}

describe('byte code', () => {
  for (const python of ['3.9', '3.11', '3.13'] as const) {
    test(`Python ${python}: the same bytes whatever the order and the number of processes`, async () => {
      const base = await testBase(python)
      const requests = await realArtifacts(base.reference, python)
      const first = await compileAll(python, requests)
      const second = await compileAll(python, requests.toReversed(), 1)
      const alone = await compileAll(python, requests.slice(2, 3), 1)
      assert.equal(first.size, 4)
      for (const [key, { files, skipped }] of first) {
        assert.deepEqual(skipped, [])
        assert.deepEqual(second.get(key)?.files, files, key)
        assert.equal(files.length, requests.find((request) => request.key === key)?.files.entries.length)
        for (const { path, content } of files) {
          assert.match(path, new RegExp(`^${SITE}/.*/__pycache__/\\w+\\.cpython-${python.replace('.', '')}\\.pyc$`))
          // PEP 552: hash-based, not checked against the source.
          assert.equal(content.readUInt32LE(4), 1)
        }
      }
      assert.deepEqual(alone.get('email')?.files, first.get('email')?.files)
    })
  }

  test('a container is kept for its domain and base, and what it compiled before changes nothing', async () => {
    const [base, other] = [await testBase('3.11'), await testBase('3.13')]
    const builder = parts.another({})
    const requests = await realArtifacts(base.reference, '3.11')
    const options = { ...STEP, domain: 'octo/one' }
    const first = await compiledBy(builder, base, requests.slice(0, 2), options)
    const [kept, ...more] = await parts.containers()
    assert.deepEqual([typeof kept, more], ['string', []])
    const second = await compiledBy(builder, base, requests.slice(2).toReversed(), options)
    assert.deepEqual(await parts.containers(), [kept])
    assert.deepEqual(new Map([...first, ...second]), await compileAll('3.11', requests))
    await compiledBy(builder, base, requests.slice(0, 1), { ...options, domain: 'octo/two' })
    await compiledBy(builder, other, requests.slice(0, 1), options)
    assert.equal((await parts.containers()).length, 3)
    await builder.close()
    assert.deepEqual(await parts.containers(), [])
  })

  test('it is what that Python imports, with the path it will have', async () => {
    const request = await artifact('shown', { '__init__.py': 'def fail():\n    raise ValueError({"a", "b", "c"})\n' })
    const [file] = (await compileAll('3.11', [request])).get('shown')?.files ?? []
    const program = `import sys, marshal
code = marshal.loads(sys.stdin.buffer.read()[16:])
print(code.co_filename)
scope = {}
exec(code, scope)
try: scope['fail']()
except ValueError as error: print(sorted(error.args[0]))`
    await using step = await Step.open(
      parts.context,
      {
        name: 'reading',
        image: (await testBase('3.11')).reference,
        command: ['python3', '-c', program],
        network: 'none',
      },
      STEP,
    )
    await step.start()
    step.stdin.end(file?.content)
    assert.equal((await buffer(step.stdout)).toString(), `/${SITE}/shown/__init__.py\n['a', 'b', 'c']\n`)
    await step.finish()
  })

  test('what is no Python is skipped, and other files are left alone', async () => {
    const request = await artifact('odd', {
      'a.py': 'x = 1\n',
      'bad.py': 'def\n',
      'deep.py': `${'('.repeat(10_000)}1${')'.repeat(10_000)}\n`,
      'nul.py': 'x = "\0"\n\0',
      'template.py': '{{ name }} = 1\n',
      'data.txt': 'x',
      'ü.py': '# -*- coding: latin-1 -*-\nx = 1\n',
      'empty.py': '',
    })
    const { files, skipped } = (await compileAll('3.11', [request])).get('odd') as Compiled
    const short = (path: string) => path.slice(`${SITE}/odd/`.length)
    assert.deepEqual(
      files.map(({ path }) => short(path)),
      ['__pycache__/a.cpython-311.pyc', '__pycache__/empty.cpython-311.pyc', '__pycache__/ü.cpython-311.pyc'],
    )
    assert.deepEqual(skipped.map(short), ['bad.py', 'deep.py', 'nul.py', 'template.py'])
  })

  test('nothing to compile, and requests that come one after the answer of the other', async () => {
    const empty = await artifact('empty', { 'data.txt': 'x' })
    const module = await artifact('module', { 'a.py': 'x = 1\n' })
    const answered = Promise.withResolvers<void>()
    async function* requests() {
      yield module
      await answered.promise
      yield empty
    }
    const keys: string[] = []
    await parts.builder.compile(by(await testBase('3.11')), requests(), STEP, async ({ key }) => {
      keys.push(key)
      answered.resolve()
    })
    assert.deepEqual(keys, ['module', 'empty'])
  })

  test('whoever stops half way, aborts or fails to ask leaves no container', async () => {
    const base = await testBase('3.11')
    const module = await artifact('module', { 'a.py': 'x = 1\n' })
    const more = await artifact('more', { 'a.py': 'x = 2\n' })
    const stopping = parts.builder.compile(by(base), [module, more], STEP, async () => {
      throw new Error('enough')
    })
    await assert.rejects(stopping, /enough/)
    assert.deepEqual(await parts.containers(), [])

    const abort = new AbortController()
    async function* silent() {
      yield module
      abort.abort(new Error('nobody wants it any more'))
      await new Promise(() => {})
    }
    const compiled = compiledBy(parts.builder, base, silent(), { ...STEP, signal: abort.signal })
    await assert.rejects(compiled, /nobody wants it any more/)
    assert.deepEqual(await parts.containers(), [])

    async function* failing() {
      yield module
      throw new Error('no more to be had')
    }
    await assert.rejects(compiledBy(parts.builder, base, failing()), /no more to be had/)
    assert.deepEqual(await parts.containers(), [])
  })

  test('a limit is said, and how to raise it', async () => {
    const base = await testBase('3.11')
    const large = await artifact('large', { 'a.py': `x = [${'{1: 2}, '.repeat(400_000)}]\n` })
    const small = parts.another({ limits: { memory: 64 * 2 ** 20 } })
    await assert.rejects(compiledBy(small, base, [large]), (error) => {
      assert.ok(error instanceof LimitReached, String(error))
      assert.equal(error.message, 'compiling needed more than 64 MiB of memory')
      assert.match(error.hint, /Raise MEADOW_BUILD_MEMORY/)
      return true
    })
    const hasty = parts.another({ limits: { timeout: 20 } })
    await assert.rejects(
      compiledBy(hasty, base, [large]),
      (error) => error instanceof LimitReached && error.limit === 'timeout',
    )
  })

  test('a connection that is lost is said as such: never is there less than was asked for', async (t) => {
    const proxy = await socketProxy('/var/run/docker.sock')
    const engine = dockerEngine({ socketPath: proxy.path })
    t.after(async () => {
      await engine.close()
      await proxy.remove()
    })
    const [one, two] = [await artifact('one', { 'a.py': 'A = 1\n' }), await artifact('two', { 'b.py': 'B = 2\n' })]
    const compiled = Promise.withResolvers<void>()
    const requests = async function* () {
      yield one
      await compiled.promise
      await proxy.cut()
      await proxy.mend()
      yield two
    }
    const said: string[] = []
    const compiling = parts
      .another({ engine })
      .compile(by(await testBase('3.11')), requests(), STEP, async ({ key }) => {
        said.push(key)
        compiled.resolve()
      })
    await assert.rejects(compiling, EngineUnavailable)
    assert.deepEqual(said, ['one'])
  })
})
