import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { tarArchive } from '../../common/tar.ts'
import { type Builder, BuildFailed } from '../../service/builder/builder.ts'
import { LimitReached } from '../../service/builder/context.ts'
import type { BaseImage } from '../../service/image/base.ts'
import type { Probe } from '../../service/interpreter/probe.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'
import { writeZip } from '../support/zip-writer.ts'

let parts: TestBuilder
before(async () => {
  parts = await testBuilder()
})
after(async () => {
  const left = await readdir(parts.folder)
  await parts[Symbol.asyncDispose]()
  assert.deepEqual(
    left.filter((name) => name.endsWith('.whl')),
    [],
    'wheels were left behind',
  )
})

/** The files of an sdist whose backend is its own module: no build requirement has to be fetched. */
function sdistFiles(backend: string): Record<string, string> {
  return {
    'demo-1.0/PKG-INFO': 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n',
    'demo-1.0/pyproject.toml':
      '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "demo"\nversion = "1.0"\n',
    'demo-1.0/backend.py': backend,
  }
}

/** A backend that makes a wheel by hand. */
const WORKING = `import os, sys, zipfile
def build_wheel(folder, settings=None, metadata=None):
    print("on stdout"); print("on stderr", file=sys.stderr)
    name = "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        def put(path, text): wheel.writestr(zipfile.ZipInfo(path), text)
        put("demo.py", "PYTHON = %r" % (sys.version_info[:2],))
        put("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        put("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n")
        put("demo-1.0.dist-info/RECORD", "")
    return name
`

function failing(code: string): string {
  return `def build_wheel(folder, settings=None, metadata=None):\n    ${code.replaceAll('\n', '\n    ')}\n`
}

const probes = new Map<string, Probe>()
async function probeOf(base: BaseImage): Promise<Probe> {
  const probe = probes.get(base.reference) ?? (await parts.builder.probe(base, STEP))
  probes.set(base.reference, probe)
  return probe
}

async function build(
  filename: string,
  bytes: Buffer,
  base?: BaseImage,
  builder: Builder = parts.builder,
  report = STEP.report,
) {
  const where = base ?? (await testBase('3.11'))
  const file = join(parts.folder, filename)
  await writeFile(file, bytes)
  const artifact = { name: 'demo', version: '1.0', kind: 'sdist' as const, filename }
  const probe = await probeOf(where)
  const { filename: wheel, bytes: stream } = await builder.buildWheel(
    where,
    probe,
    { artifact, source: { file } },
    { ...STEP, report },
  )
  return { wheel, bytes: await buffer(stream) }
}

const sdist = (backend: string) =>
  gzipSync(
    tarArchive(
      Object.entries(sdistFiles(backend)).map(([path, text]) => ({
        path,
        type: 'file',
        mode: 0o644,
        mtime: 0,
        content: Buffer.from(text),
      })),
    ),
  )

describe('building a wheel', () => {
  for (const python of ['3.9', '3.11', '3.13'] as const) {
    test(`Python ${python}: by that Python, the same bytes each time, its output in the log`, async () => {
      const lines: string[] = []
      const base = await testBase(python)
      const once = await build('demo-1.0.tar.gz', sdist(WORKING), base, parts.builder, (line) => lines.push(line))
      assert.equal(once.wheel, 'demo-1.0-py3-none-any.whl')
      assert.ok(once.bytes.includes(`PYTHON = (3, ${python.split('.')[1]})`))
      assert.ok(lines.includes('on stdout') && lines.includes('on stderr'), lines.join('\n'))
      if (python !== '3.11') return
      assert.deepEqual((await build('demo-1.0.tar.gz', sdist(WORKING), base)).bytes, once.bytes)
    })
  }

  test('an sdist that is a zip', async () => {
    const zip = writeZip(Object.entries(sdistFiles(WORKING)).map(([name, content]) => ({ name, content })))
    assert.equal((await build('demo-1.0.zip', zip)).wheel, 'demo-1.0-py3-none-any.whl')
  })

  test('a real one with setup.py only, its build requirements from the index', async () => {
    const base = await testBase('3.11')
    const probe = await probeOf(base)
    const spec = { format: 'requirements.txt' as const, path: 'r.txt', files: { 'r.txt': 'docopt==0.6.2\n' } }
    const { artifacts } = await parts.builder.resolve(base, spec, probe, STEP)
    const response = await fetch(artifacts[0]?.url ?? '')
    const { wheel, bytes } = await build('docopt-0.6.2.tar.gz', Buffer.from(await response.arrayBuffer()), base)
    assert.equal(wheel, 'docopt-0.6.2-py2.py3-none-any.whl')
    assert.ok(bytes.includes('docopt.py'))
  })

  for (const [what, code, message] of [
    [
      'raises',
      'raise RuntimeError("no compiler here")',
      /^demo: its build failed with exit code \d+:[\s\S]*no compiler here/,
    ],
    ['ends', 'import os; os._exit(3)', /its build failed/],
    ['makes no wheel', 'return "demo-1.0-py3-none-any.whl"', /demo: /],
  ] as const) {
    test(`a backend that ${what} is told with the end of its log`, async () => {
      await assert.rejects(build('demo-1.0.tar.gz', sdist(failing(code))), (error) => {
        assert.ok(error instanceof BuildFailed, String(error))
        assert.match(error.message, message)
        assert.notEqual(error.hint, '')
        return true
      })
    })
  }

  test('no archive at all', async () => {
    await assert.rejects(build('demo-1.0.tar.gz', Buffer.from('not a tar')), BuildFailed)
    await assert.rejects(build('demo-1.0.zip', Buffer.from('not a zip')), BuildFailed)
  })

  test('a file name that is an option or a path', async () => {
    assert.equal((await build('--help;x.tar.gz', sdist(WORKING))).wheel, 'demo-1.0-py3-none-any.whl')
  })
})

describe('limits of a build', () => {
  for (const [limit, limits, code] of [
    ['timeout', { timeout: 3000 }, 'import time; time.sleep(600)'],
    ['memory', { memory: 192 * 2 ** 20 }, 'x = bytearray(512 * 2**20)'],
    [
      'disk',
      { disk: 100 * 2 ** 20 },
      'import time\nopen("/tmp/large", "wb").write(bytes(200 * 2**20))\ntime.sleep(600)',
    ],
  ] as const) {
    test(`${limit}`, async () => {
      const builder = parts.another({ limits })
      await assert.rejects(build('demo-1.0.tar.gz', sdist(failing(code)), undefined, builder), (error) => {
        assert.ok(error instanceof LimitReached, String(error))
        assert.equal(error.limit, limit)
        assert.match(error.message, /^building demo 1\.0 needed more than/)
        return true
      })
      assert.deepEqual(await parts.containers(), [])
    })
  }
})
