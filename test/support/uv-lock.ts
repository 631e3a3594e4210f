import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { Step } from '../../service/builder/step.ts'
import { STEP, type TestBuilder, testBase } from './builder.ts'
import { tarOfFiles } from './tar-of-files.ts'

const PROJECT = '/opt/meadow/project'
/** A pip that puts uv of some version beside the files. */
const INSTALL = (version: string) => `python3 -m pip -q install --target /tmp/tools uv==${version} >&2`

/**
 * The uv.lock that uv itself makes of a project.
 * @param files its pyproject.toml files and others, by path
 * @param version of uv; the builder's own where it is left out
 * @param folder of the project
 */
export async function uvLock(
  parts: TestBuilder,
  files: Record<string, string | Buffer>,
  version?: string,
  folder = '.',
): Promise<string> {
  const uv = version === undefined ? '/opt/env/bin/uv' : '/tmp/tools/bin/uv'
  const lock = `cd ${folder} && ${uv} lock -q --no-python-downloads && cat uv.lock`
  if (version === undefined) return await made(parts, files, lock)
  return await made(parts, files, `${INSTALL(version)} && ${lock}`, (await testBase('3.11')).reference)
}

/** What a pip of today's `pip lock` makes of a requirements.txt. */
export async function pipLock(parts: TestBuilder, files: Record<string, string | Buffer>): Promise<string> {
  const pip = '/opt/env/bin/python3 -m pip -q --disable-pip-version-check'
  return await made(parts, files, `${pip} lock -r requirements.txt -o pylock.toml >&2 && cat pylock.toml`)
}

/**
 * The pylock.toml that uv makes of a project.
 * @param options of `uv export`
 */
export async function uvExport(parts: TestBuilder, files: Record<string, string>, options: string): Promise<string> {
  const uv = '/opt/env/bin/uv'
  return await made(parts, files, `${uv} lock -q && ${uv} export -q --frozen --format pylock.toml ${options}`)
}

/** What a shell script says of some files, in the builder image where no other is named. */
async function made(
  parts: TestBuilder,
  files: Record<string, string | Buffer>,
  script: string,
  image?: string,
): Promise<string> {
  await using step = await Step.open(
    parts.context,
    {
      name: 'making a lock',
      image: image ?? (await parts.image()),
      command: ['/bin/sh', '-ec', `cd ${PROJECT} && ${script}`],
      user: '0:0',
      env: { UV_CACHE_DIR: '/tmp/uv' },
      network: parts.context.network,
      files: { [`${PROJECT}/.keep`]: '' },
    },
    STEP,
  )
  await step.container.put(Readable.from([tarOfFiles(files)]), PROJECT)
  await step.start()
  step.stdin.end()
  const said = await text(step.stdout)
  await step.finish()
  return said
}

/** The same by the builder's uv on this machine, which has a git and reaches the git host of the tests. */
export async function uvLockWithGit(parts: TestBuilder, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(parts.folder, 'uv-'))
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  const uv = await uvHere(parts, folder)
  await promisify(execFile)(uv, ['lock', '-q', '--no-cache'], { cwd: folder })
  return await readFile(join(folder, 'uv.lock'), 'utf8')
}

async function uvHere(parts: TestBuilder, folder: string): Promise<string> {
  const path = join(folder, '.uv')
  const command = ['/bin/cat', '/opt/env/bin/uv']
  const image = await parts.image()
  const spec = { name: 'taking uv out', image, command, user: '0:0', env: {}, network: 'none' as const, files: {} }
  await using step = await Step.open(parts.context, spec, STEP)
  await step.start()
  step.stdin.end()
  await pipeline(step.stdout, createWriteStream(path, { mode: 0o755 }))
  await step.finish()
  return path
}
