import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { removeImages } from '../machine/local-base.ts'
import { runProgram } from '../machine/program.ts'
import { Account } from './account.ts'
import { prepareMachine } from './prepare.ts'
import { addRequirement, createSample } from './sample.ts'
import { startService } from './service.ts'
import { pushStep, runStep } from './steps.ts'
import { table } from './table.ts'

/**
 * `npm run quickstart [-- --json FILE]`: the main path on this machine, for real. A repository is pushed, the service
 * prebuilds its environment, a workflow step runs in it; one requirement is added, and the next push reuses the rest.
 */
async function main(cleanup: AsyncDisposableStack, json: string | undefined): Promise<void> {
  const folder = await prepareMachine(cleanup, say)

  say('Starting the service …')
  const { sample, commit } = await createSample(`${folder}/git`)
  const service = await startService(folder, { MEADOW_GIT_URL: `file://${sample.host}` })
  cleanup.defer(() => removeImages(`${service.host}/`))
  cleanup.defer(service.stop)
  const account = await Account.open(service, sample.name)

  say(`Pushing ${sample.name} (${sample.requirements.join(', ')}): the service prebuilds its environment …`)
  const push = await pushStep('push', service, account, sample, commit)
  say('Running the workflow step on it:')
  const run = await runStep('run', service, account, sample, commit)

  const next = await addRequirement(sample, commit)
  say(`Pushing again, with ${sample.requirements.at(-1)} more …`)
  const change = await pushStep('change', service, account, sample, next)
  say('Running the workflow step on that:')
  const rerun = await runStep('rerun', service, account, sample, next)

  const steps = [push, run.step, change, rerun.step]
  say(`\n${table(steps)}\n`)
  for (const { step, result } of [run, rerun])
    say(`${step.name}: exit code ${result.exitCode}, first byte of output after ${result.secondsToFirstByte} s`)
  if (json) await writeFile(json, `${JSON.stringify({ steps, run: run.result, rerun: rerun.result }, undefined, 2)}\n`)
  if (run.result.exitCode !== 0 || rerun.result.exitCode !== 0) throw new Error('A workflow step failed; see above.')
}

function say(line: string): void {
  console.log(line)
}

await runProgram(async (cleanup) => {
  const { values } = parseArgs({ options: { json: { type: 'string' } } })
  await main(cleanup, values.json)
})
