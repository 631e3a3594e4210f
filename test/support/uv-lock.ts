import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Step } from '../../service/builder/step.ts'
import { STEP, type TestBuilder, testBase } from './builder.ts'
import { tarOfFiles } from './tar-of-files.ts'

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
  const lock = `cd /opt/meadow/project/${folder} && ${uv} lock -q --no-python-downloads && cat uv.lock`
  await using step = await Step.open(
    parts.context,
    {
      name: 'making a uv.lock',
      image: version === undefined ? await parts.image() : (await testBase('3.11')).reference,
      command: ['/bin/sh', '-ec', version === undefined ? lock : `${INSTALL(version)} && ${lock}`],
      user: '0:0',
      env: { UV_CACHE_DIR: '/tmp/uv' },
      network: parts.context.network,
      files: { '/opt/meadow/project/.keep': '' },
    },
    STEP,
  )
  await step.container.put(Readable.from([tarOfFiles(files)]), '/opt/meadow/project')
  await step.start()
  step.stdin.end()
  const made = await text(step.stdout)
  await step.finish()
  return made
}
