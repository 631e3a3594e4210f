import { BlobMissing } from '../../blobs/blobs.ts'
import { readJson } from '../../blobs/read-json.ts'
import { type AssembledImage, assembleImage } from '../../image/assemble.ts'
import type { Fragment, PlannedArtifact } from '../../image/fragment.ts'
import type { Plan } from '../../image/layer-plan.ts'
import type { Layout } from '../../image/layout.ts'
import { type PlanRequest, planDelta, planFresh } from '../../image/plan.ts'
import { condaSkeleton, skeletonEntries } from '../../image/skeleton.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageParts } from './image-parts.ts'

type Parts = Pick<ImageParts, 'blobs' | 'layers' | 'zstd'>

/** An image, and how it was laid out. */
export interface LaidOut {
  plan: Plan
  assembled: AssembledImage
}

/** Makes an image of artifacts on the parent's layers, or from nothing where there is none or their bytes are gone. */
export async function layOut(
  parts: Parts,
  locked: Locked,
  artifacts: PlannedArtifact[],
  parent: Layout | undefined,
  signal: AbortSignal,
): Promise<LaidOut> {
  const request = planRequest(locked, artifacts)
  const plan = parent
    ? await planDelta(request, parent, (manifest) => readJson<Fragment>(parts.blobs, manifest))
    : planFresh(request)
  try {
    return { plan, assembled: await assemble(parts, locked, plan, signal) }
  } catch (error) {
    if (!(error instanceof BlobMissing) || plan.kind === 'fresh') throw error
    const fresh = planFresh(request)
    return { plan: fresh, assembled: await assemble(parts, locked, fresh, signal) }
  }
}

/** Makes an image of artifacts from nothing. */
export async function layOutFresh(
  parts: Parts,
  locked: Locked,
  artifacts: PlannedArtifact[],
  signal: AbortSignal,
): Promise<AssembledImage> {
  return await assemble(parts, locked, planFresh(planRequest(locked, artifacts)), signal)
}

async function assemble(
  { blobs, layers, zstd }: Parts,
  { base, active, environment }: Locked,
  plan: Plan,
  signal: AbortSignal,
): Promise<AssembledImage> {
  const overrides = active && { overrides: { active } }
  return await assembleImage({ base, plan, blobs, layers, zstd, signal, kind: environment, ...overrides })
}

function planRequest({ base, probe, lock, environment }: Locked, artifacts: PlannedArtifact[]): PlanRequest {
  return { base, skeleton: lock.conda ? condaSkeleton() : skeletonEntries(probe, environment), artifacts }
}
