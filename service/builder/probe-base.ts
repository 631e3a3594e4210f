import * as z from 'zod/mini'
import { EngineRefused } from '../engine/engine.ts'
import type { BaseImage } from '../image/base.ts'
import type { Probe } from '../interpreter/probe.ts'
import type { BuilderContext } from './context.ts'
import type { StepOptions } from './options.ts'
import { pythonSource } from './python-source.ts'
import { Step, StepFailed } from './step.ts'

const PROGRAM = pythonSource('probe')
const TIMEOUT = 60_000
const MOST_OUTPUT = 16 * 2 ** 20

const Answer = z.object({
  markers: z.record(z.string(), z.string()),
  tags: z.array(z.string().check(z.regex(/^[\w.]+-[\w.]+-[\w.]+$/))).check(z.minLength(1)),
  version: z.string().check(z.regex(/^3\.\d+\.\d+$/)),
  basePrefix: z.string().check(z.regex(/^\//)),
  prefix: z.string().check(z.regex(/^\//)),
  sitePackages: z.array(z.string().check(z.regex(/^\/[^\0\n]+$/))),
  installed: z.array(
    z.object({
      name: z.string().check(z.regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/)),
      version: z.string().check(z.regex(/^\w[\w.!+-]*$/)),
      requires: z.array(z.string()),
    }),
  ),
  executable: z.string().check(z.regex(/^\//)),
  cacheTag: z.string().check(z.regex(/^[\w-]+$/)),
  libc: z.object({ name: z.enum(['glibc', 'musl']), version: z.string().check(z.regex(/^\d+\.\d+/)) }),
  machine: z.string(),
  user: z.string().check(z.regex(/^\d+:\d+$/)),
})

/** An image that can't be the base of an environment. */
export class UnfitBase extends Error {
  override name = 'UnfitBase'
  readonly hint =
    'Name an image with python3, 3.8 or later, on the PATH, for example python:3.11-slim-bookworm; or, where it has apt, add "additional-software: python3".'
  constructor(base: BaseImage, why: string, options?: ErrorOptions) {
    super(`${base.name}: ${why}`, options)
  }
}

/**
 * Asks a base image's Python about itself.
 * @throws {UnfitBase} where it has none that is supported
 */
export async function probeBase(context: BuilderContext, base: BaseImage, options: StepOptions): Promise<Probe> {
  const spec = {
    name: 'probing',
    image: base.reference,
    command: ['python3', '-I', '-c', PROGRAM],
    // Its own, not that of a step: packages may be there.
    env: { HOME: base.defaults.env.find((each) => each.startsWith('HOME='))?.slice('HOME='.length) ?? '' },
    network: 'none' as const,
    limits: { timeout: Math.min(TIMEOUT, context.limits.timeout) },
  }
  try {
    await using step = await Step.open(context, spec, { ...options, report: () => {} })
    await step.start()
    step.stdin.end()
    const said = await step.text(MOST_OUTPUT)
    await step.finish()
    return z.parse(Answer, JSON.parse(said))
  } catch (error) {
    if (error instanceof StepFailed) throw new UnfitBase(base, error.log.trim() || error.message, { cause: error })
    if (error instanceof EngineRefused && /executable file not found|no such file/i.test(error.message)) {
      throw new UnfitBase(base, 'no Python inside: it has no python3 on the PATH, and every run is started by it', {
        cause: error,
      })
    }
    if (error instanceof SyntaxError || error instanceof z.core.$ZodError) {
      throw new UnfitBase(base, 'its python3 gives no usable answer', { cause: error })
    }
    throw error
  }
}
