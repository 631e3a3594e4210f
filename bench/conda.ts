import { type CondaChannel, condaChannel } from '../test/support/conda-channel.ts'
import type { Bench } from './bench.ts'
import { CONDA, CONDA_INSTALL } from './recipes.ts'
import { type Row, row } from './rows.ts'

const LEAVES = 15

/** Twenty packages of a channel on this machine, by their paths in it. */
function packages(greet: string): string[] {
  return [
    'linux-64/python-3.11.7-h1a2b3c4_0.conda',
    'linux-64/pylibs-12-0.conda',
    'linux-64/pfxtool-1.0-h0_1.tar.bz2',
    `noarch/greet-${greet}-pyh0_0.tar.bz2`,
    'noarch/greetplus-0.1-py_0.conda',
    ...Array.from({ length: LEAVES }, (_, at) => `noarch/leaf${at}-1.0-py_0.${at % 2 === 0 ? 'conda' : 'tar.bz2'}`),
  ]
}

/** One conda package of twenty changes: from its push to an image pulled on the node, beside installing all afresh. */
export async function conda(bench: Bench): Promise<Row[]> {
  const { say } = bench
  await using channel = await condaChannel()
  const installation = await bench.coldInstallation({ MEADOW_CONDA_CHANNELS: `bench=${channel.url}` })
  const service = await installation.service(0, say)
  const repository = await installation.repository('bench/conda')
  const push = async (greet: string) => {
    const lines = await channel.lines(packages(greet))
    const list = ['# platform: linux-64', '@EXPLICIT', ...lines, ''].join('\n')
    const pushed = await installation.push(
      service,
      repository,
      await repository.commit({ 'conda-linux-64.lock': list }),
    )
    say(`  ${pushed.seconds.toFixed(1)} s (${pushed.stages})`)
    return pushed
  }
  say('Ours: twenty conda packages, nothing known …')
  await push('2.0')
  say('Ours: one of them changed …')
  const { seconds } = await push('2.1')
  await installation.stop()
  await installation.forgetImages()
  const usual = await bench.usualWay(CONDA, { ...(await archives(channel)), 'install.py': CONDA_INSTALL })
  return [row('conda', 'change, push to pulled', 's', seconds, usual.total)]
}

async function archives(channel: CondaChannel): Promise<Record<string, Uint8Array>> {
  const files = packages('2.1').map(async (path) => {
    const answer = await fetch(`${channel.url}/${path}`, { signal: AbortSignal.timeout(60_000) })
    if (!answer.ok) throw new Error(`the channel has no ${path}`)
    return [path.slice(path.indexOf('/') + 1), await answer.bytes()] as const
  })
  return Object.fromEntries(await Promise.all(files))
}
