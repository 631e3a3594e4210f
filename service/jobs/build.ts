import * as z from 'zod/mini'
import { BuildOrder, canonicalRequest, codeId } from '../../common/canonical-request.ts'
import type { CondaPlatform } from '../../common/conda-files.ts'
import { detect, formatsOn } from '../../common/detect.ts'
import type { CacheAccount } from '../../common/events.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { buildById, failBuild, finishBuild, saveEnvironment, startBuild } from '../database/builds.ts'
import type { Database } from '../database/database.ts'
import { branchOf } from '../database/deliveries.ts'
import type { BuildRow } from '../database/schema.ts'
import { yamlOf } from '../interpreter/formats/conda-pip.ts'
import { loadSpec, notesOn } from '../interpreter/formats.ts'
import type { InterpreterSpec } from '../interpreter/spec.ts'
import type { Code, Source } from '../source/source.ts'
import { codeOf } from './code-of.ts'
import type { ImageOrder } from './environment/image-order.ts'
import { environmentReader } from './environment/read-environment.ts'
import type { EventWriter } from './events/event-writer.ts'
import { Journal, reporting } from './events/journal.ts'
import { environmentLine } from './images/account.ts'
import type { EnsuredImage, ImagePipeline } from './images/ensure-image.ts'
import { describeFailure, describeRetry } from './worker/failure.ts'
import type { JobContext, JobHandler } from './worker/handler.ts'

/** What a build needs. */
export interface BuildParts {
  database: Database
  events: EventWriter
  source: Source
  blobs: Blobs
  images: ImagePipeline
  /** Of all that is built here. */
  platform: CondaPlatform
}

const Payload = z.object({ build: z.string() })

/** The work of a build: code, spec, image. */
export function buildHandler(parts: BuildParts, concurrency: number): JobHandler {
  const { database, events } = parts
  return {
    concurrency,
    run: async (context) => {
      const build = await buildById(database.state, buildOf(context.job.payload))
      if (build === undefined || build.state === 'failed' || build.state === 'finished') return
      await context.commit(({ db }) => startBuild(db, build.id))
      await make(parts, build, context)
    },
    retrying: (job, error, afterMs) => {
      new Journal(events, buildOf(job.payload)).note(describeRetry(error, afterMs))
    },
    failed: async ({ db, notify }, job, error) => {
      const id = buildOf(job.payload)
      const failure = describeFailure(error)
      await failBuild(db, { id, ...failure, now: Date.now() })
      notify(`events:${id}`)
      new Journal(events, id).tell({ kind: 'state', state: 'failed', ...failure })
    },
  }
}

async function make(parts: BuildParts, build: BuildRow, context: JobContext): Promise<void> {
  const order = z.parse(BuildOrder, JSON.parse(build.request))
  const journal = new Journal(parts.events, build.id)
  journal.tell({ kind: 'state', state: 'building' })
  const { signal } = context
  const code = await journal.stage('source', () => codeOf(parts.source, order, reporting({ journal, signal })))
  const { spec, environment } = await specOf(parts, code, order)
  journal.note(environmentLine(environment))
  for (const note of notesOn(spec)) journal.note(note)
  const { repository } = order
  const branch = await branchOf(parts.database.state, repository, codeId(order.code))
  const project = { commit: order.code.commit, tree: code.tree }
  const { interpreter: named } = order.interpreter
  const imageOrder: ImageOrder = { domain: code.domain, repository, branch, named, spec, code: project }
  const image = await parts.images.ensure(imageOrder, { journal, signal })
  const account = { ...image.account, environment }
  journal.tell({ kind: 'cache', ...account })
  await finish(parts, build, order, code, { image, account }, context)
  if (image.worn !== undefined) {
    journal.note(`laying the image out afresh in the background: ${image.worn}`)
    await parts.images.renew(imageOrder, image.locked, { journal, signal })
  }
}

/** The spec that a request names or detects in the code; and which that is and why, in one line. */
async function specOf(
  { blobs, platform }: BuildParts,
  code: Code,
  { interpreter, code: request }: BuildOrder,
): Promise<{ spec: InterpreterSpec; environment: string }> {
  const read = environmentReader(code, request, blobs)
  const found = interpreter.interpreter === 'auto' ? detect(await read.paths(), formatsOn(platform)) : undefined
  const spec = await loadSpec(read, interpreter, { file: found, platform })
  const others = Object.keys(spec.files).filter((path) => yamlOf(path) !== spec.path)
  const also = others.length > 0 ? `, with ${others.join(', ')}` : ''
  const before = found?.insteadOf ? `, before ${found.insteadOf.join(' and ')}` : ''
  const named = found?.path ?? interpreter.interpreter
  const project = spec.project === undefined ? undefined : `, for ${spec.project}, a project of its workspace`
  const instead = project ?? (spec.path === named ? '' : `, in place of ${named}`)
  const why = found ? `detected at the root${before}` : `named by interpreter${instead}`
  return { spec, environment: `${spec.path} (${spec.format}), ${why}${also}` }
}

async function finish(
  { events }: BuildParts,
  build: BuildRow,
  order: BuildOrder,
  code: Code,
  { image, account }: { image: EnsuredImage; account: CacheAccount },
  { commit }: JobContext,
): Promise<void> {
  await commit(async ({ db, notify }) => {
    const cache = JSON.stringify(account)
    await finishBuild(db, { id: build.id, image: image.row.digest, cache, now: Date.now() })
    const request = canonicalRequest(order.interpreter, order.code)
    for (const domain of new Set([code.domain, build.domain])) {
      await saveEnvironment(db, { domain, commit_id: codeId(order.code), request, build: build.id })
    }
    notify(`events:${build.id}`)
  })
  new Journal(events, build.id).tell({ kind: 'state', state: 'finished' })
  await events.flush(build.id)
}

function buildOf(payload: string): string {
  return z.parse(Payload, JSON.parse(payload)).build
}
