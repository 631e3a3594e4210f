import type { Builder } from '../../builder/builder.ts'
import { UnfitBase } from '../../builder/probe-base.ts'
import { findProbe, saveProbe } from '../../database/known.ts'
import type { BaseImage } from '../../image/base.ts'
import type { EnvironmentKind } from '../../image/skeleton.ts'
import { isOnImage } from '../../interpreter/formats/container.ts'
import { PROBE_FORMAT, type Probe } from '../../interpreter/probe.ts'
import type { InterpreterSpec } from '../../interpreter/spec.ts'
import { checkNamedBase, chooseBase } from '../../policy/bases.ts'
import type { Domain } from '../../policy/domain.ts'
import { reporting, type WorkContext } from '../events/journal.ts'
import { type SoftwareParts, withSoftware } from './additional-software.ts'

/** A base, ready to have an environment made on it. */
export interface PreparedBase {
  /** With additional software, where the user wants some. */
  base: BaseImage
  /** What compiles: the base without additional software, where that left its Python alone. */
  compileBase: BaseImage
  probe: Probe
  environment: EnvironmentKind
}

/** What preparing a base needs. */
export interface BaseParts extends SoftwareParts {
  builder: Builder
  /** Finds a base image by its name, or copies it in. */
  resolveBase: (name: string, signal: AbortSignal, note: (text: string) => void) => Promise<BaseImage>
  /** The operator's bases by Python version. */
  bases: Record<string, string>
}

/** The base of a spec with what the user wants in it, its probe, and what an environment on it is. */
export async function prepareBase(
  parts: BaseParts,
  { domain, spec }: { domain: Domain; spec: InterpreterSpec },
  context: WorkContext,
): Promise<PreparedBase & { plain: BaseImage }> {
  const { journal, signal } = context
  const name = chooseBase(parts.bases, spec)
  const plain = await journal.stage(
    'base',
    () => parts.resolveBase(name, signal, (text) => journal.note(text)),
    ({ digest }) => ({ detail: `${name}, ${digest}` }),
  )
  const environment = spec.format === 'container image' ? 'image' : isOnImage(spec) ? 'venv on image' : 'venv'
  if (spec.software === undefined) {
    const probe = await probeOf(parts, plain, context)
    checkNamedBase(spec, probe.version)
    return { base: plain, plain, compileBase: plain, probe, environment }
  }
  const base = await withSoftware(parts, { base: plain, packages: spec.software, domain }, context)
  const probe = await probeOf(parts, base, context)
  checkNamedBase(spec, probe.version)
  const compileBase = (await hasSamePython(parts, plain, probe, context)) ? plain : base
  return { base, plain, compileBase, probe, environment }
}

/** Whether additional software left a base's Python as it was: then what was compiled in the base serves here too. */
async function hasSamePython(
  parts: BaseParts,
  plain: BaseImage,
  { version, executable, cacheTag }: Probe,
  context: WorkContext,
): Promise<boolean> {
  try {
    const was = await probeOf(parts, plain, context)
    return was.version === version && was.executable === executable && was.cacheTag === cacheTag
  } catch (error) {
    // It had none before.
    if (error instanceof UnfitBase) return false
    throw error
  }
}

/** A base image and what its Python says of itself: asked once a digest. */
export async function baseAndProbe(
  parts: Pick<BaseParts, 'database' | 'builder' | 'resolveBase'>,
  name: string,
  context: WorkContext,
): Promise<{ base: BaseImage; probe: Probe }> {
  const base = await parts.resolveBase(name, context.signal, (text) => context.journal.note(text))
  return { base, probe: await probeOf(parts, base, context) }
}

async function probeOf(
  { database, builder }: Pick<BaseParts, 'database' | 'builder'>,
  base: BaseImage,
  context: WorkContext,
): Promise<Probe> {
  const known = await findProbe(database.state, base.digest)
  const stored = known && (JSON.parse(known.probe) as { format?: number; probe: Probe })
  if (stored?.format === PROBE_FORMAT) return stored.probe
  const probe = await builder.probe(base, reporting(context))
  const text = JSON.stringify({ format: PROBE_FORMAT, probe })
  await database.write(({ db }) => saveProbe(db, { base: base.digest, probe: text }))
  return probe
}
