import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand, type Say } from '../machine/command.ts'
import { writeBigWheel } from './big-wheel.ts'
import { type Row, row } from './rows.ts'

const [SMALL, LARGE] = [20e6, 2e9]

/** Peak memory of a process that transcodes a wheel of 2 GB, beside that for one of 20 MB: it must be flat. */
export async function transcode({ say }: { say: Say }): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'meadow-bench-transcode-'))
  try {
    const small = await measure(folder, SMALL, say)
    const large = await measure(folder, LARGE, say)
    return [
      row('transcode', 'peak memory, 2 GB beside 20 MB', 'MB', large.megabytes, small.megabytes),
      row('transcode', 'throughput', 'MB/s', LARGE / 1e6 / large.seconds),
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the transcoding process says of itself. */
export interface Transcoded {
  megabytes: number
  seconds: number
}

async function measure(folder: string, bytes: number, say: Say): Promise<Transcoded> {
  say(`Transcoding a wheel of ${bytes / 1e6} MB …`)
  const wheel = await writeBigWheel(join(folder, 'big.whl'), bytes)
  const order = JSON.stringify({ ...wheel, folder: join(folder, `blobs-${bytes}`) })
  const args = [join(import.meta.dirname, 'transcode-process.ts'), order]
  const text = await runCommand(process.execPath, args, { timeout: 10 * 60_000 })
  await rm(wheel.file)
  return JSON.parse(text) as Transcoded
}
