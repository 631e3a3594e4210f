import * as z from 'zod/mini'
import type { BuilderContext } from './context.ts'
import type { StepOptions } from './options.ts'
import { pythonSource } from './python-source.ts'
import { Step } from './step.ts'

const PROGRAM = pythonSource('activate')
const MOST_OUTPUT = 2 ** 20
const TIMEOUT = 60_000

const Answer = z.object({
  env: z.record(z.string().check(z.regex(/^[^=\0]+$/)), z.string().check(z.regex(/^[^\0]*$/))),
  failed: z.nullable(z.string()),
})

/** A conda environment that is to be activated. */
export interface ActivateRequest {
  /** Reference of an image that holds all of it. */
  image: string
  /** The environment's Python. */
  python: string
  /** What the environment itself sets; scripts of packages see it. */
  variables: Record<string, string>
}

/**
 * Runs the activation scripts of a conda environment's packages, without network. Gives all that activation sets.
 * A script that fails is told, and what the scripts would have set is left out.
 */
export async function activate(
  context: BuilderContext,
  { image, python, variables }: ActivateRequest,
  options: StepOptions,
): Promise<Record<string, string>> {
  await using step = await Step.open(
    context,
    {
      name: 'activating',
      image,
      command: [python, '-I', '-c', PROGRAM],
      user: '0:0',
      network: 'none',
      watchDisk: true,
      limits: { timeout: Math.min(TIMEOUT, context.limits.timeout) },
    },
    options,
  )
  await step.start()
  step.stdin.end(JSON.stringify({ variables }))
  const said = await step.text(MOST_OUTPUT)
  await step.finish()
  const { env, failed } = z.parse(Answer, JSON.parse(said))
  if (failed !== null) options.report(`activation: ${failed}; no variables of scripts are set`)
  return env
}
