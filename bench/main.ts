import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { SetupImpossible } from '../machine/packages.ts'
import { runProgram } from '../machine/program.ts'
import { action } from './action.ts'
import { bake } from './bake.ts'
import { Bench } from './bench.ts'
import { change } from './change.ts'
import { conda } from './conda.ts'
import { known } from './known.ts'
import { mirror } from './mirror.ts'
import { poetry, uv } from './project.ts'
import { type Row, table } from './rows.ts'
import { start } from './start.ts'
import { transcode } from './transcode.ts'
import { webhook } from './webhook.ts'

/** `npm run bench -- NAME [--json FILE]`: one bench, or `all`, each beside its peer in the same run. */

/** In an order in which the later ones find what the earlier ones made. */
const BENCHES: Record<string, (bench: Bench) => Promise<Row[]>> = {
  bake,
  known,
  change,
  start,
  webhook,
  action,
  mirror,
  transcode,
  uv,
  poetry,
  conda,
}

async function main(names: string[], json: string | undefined, cleanup: AsyncDisposableStack): Promise<void> {
  const bench = await Bench.create(cleanup, say)
  const rows: Row[] = []
  for (const name of names) {
    say(`\n${name}`)
    rows.push(...((await BENCHES[name]?.(bench)) ?? []))
    if (json) await writeFile(json, `${JSON.stringify(rows, undefined, 2)}\n`)
  }
  say(`\n${table(rows)}`)
}

function choose(positionals: string[]): string[] {
  const [name, ...more] = positionals
  if (name === 'all' && more.length === 0) return Object.keys(BENCHES)
  if (name !== undefined && more.length === 0 && Object.hasOwn(BENCHES, name)) return [name]
  throw new SetupImpossible(
    `Usage: npm run bench -- NAME [--json FILE], NAME one of ${Object.keys(BENCHES).join(', ')}, all`,
  )
}

function say(line: string): void {
  console.log(line)
}

await runProgram(async (cleanup) => {
  const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true })
  await main(choose(positionals), values.json, cleanup)
})
