import { deepEqual, equal } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { skeletonEntries } from '../../service/image/skeleton.ts'
import { PROBE, SITE } from '../support/fragments.ts'

const run = promisify(execFile)
const root = await mkdtemp(join(tmpdir(), 'skeleton-'))
after(() => rm(root, { recursive: true }))

test('Python takes the skeleton for a virtual environment of its own', async () => {
  const about = 'import json, os, sys; print(json.dumps([os.path.realpath(sys.executable), sys.version.split()[0]]))'
  const [executable, version] = await python('/usr/bin/python3', about)
  const minor = version.split('.', 2).join('.')
  for (const { path, type, link = '', content = '' } of skeletonEntries({ ...PROBE, executable, version })) {
    if (type === 'directory') await mkdir(join(root, path))
    else if (type === 'symlink') await symlink(link, join(root, path))
    else await writeFile(join(root, path), content)
  }
  const site = join(root, SITE.replace('3.11', minor))
  await writeFile(join(site, 'probe_module.py'), '')
  const seen =
    'import json, probe_module, sys, sysconfig; ' +
    'print(json.dumps([sys.prefix, sysconfig.get_path("purelib"), [p for p in sys.path if "-packages" in p]]))'
  for (const name of ['python', 'python3', `python${minor}`]) {
    deepEqual(await python(join(root, 'opt/env/bin', name), seen), [join(root, 'opt/env'), site, [site]])
  }
})

test('folders come before what is in them, and the workspace is open to any user', () => {
  const entries = skeletonEntries(PROBE)
  const seen = new Set([''])
  for (const { path, type } of entries) {
    equal(seen.has(path.slice(0, Math.max(0, path.lastIndexOf('/')))), true, path)
    if (type === 'directory') seen.add(path)
  }
  equal(entries.find(({ path }) => path === 'workspace')?.mode, 0o777)
})

async function python(executable: string, program: string) {
  const { stdout } = await run(executable, ['-I', '-c', program], { timeout: 30_000 })
  return JSON.parse(stdout)
}
