import { openAsBlob } from 'node:fs'
import * as z from 'zod/mini'
import {
  type MissingRequest,
  MissingResponse,
  RefResponse,
  Run,
  RunCreated,
  type RunRequest,
  TokenResponse,
} from '../common/contract.ts'
import type { Http } from './http.ts'

const UPLOAD_TIMEOUT = 30 * 60_000
const Uploaded = z.object({ digest: z.string() })

/** The calls that a client of the service makes. */
export class Service {
  readonly http: Http

  constructor(http: Http) {
    this.http = http
  }

  /** Exchanges a static token for one of this repository, which the further calls use. */
  async signIn(token: string, repository: string, workflowRun?: string): Promise<void> {
    const body = { token, repository, ...(workflowRun && { 'workflow-run': workflowRun }) }
    const answer = await this.http.call('/v1/tokens', TokenResponse, { method: 'POST', body, idempotent: true })
    this.http.token = answer.token
  }

  /** The commit that a branch or tag of a repository is at now; `HEAD` is its default branch. */
  async commitOf(repository: string, ref: string): Promise<RefResponse> {
    const options = { method: 'POST', body: { repository, ref }, idempotent: true } as const
    return await this.http.call('/v1/refs', RefResponse, options)
  }

  /** What must be uploaded before a run can have this code. */
  async missing(request: z.input<typeof MissingRequest>, signal?: AbortSignal): Promise<MissingResponse> {
    const options = { method: 'POST', body: request, idempotent: true, signal } as const
    return await this.http.call('/v1/bundles/missing', MissingResponse, options)
  }

  /** Uploads a file under its digest. */
  async upload(digest: string, file: string, signal?: AbortSignal): Promise<void> {
    const body = await openAsBlob(file)
    const options = { method: 'PUT', body, timeout: UPLOAD_TIMEOUT, signal } as const
    await this.http.call(`/v1/blobs/${digest}`, Uploaded, options)
  }

  /** Uploads many small blobs at once (common/blob-batch.ts). */
  async uploadBatch(batch: Blob, signal?: AbortSignal): Promise<void> {
    const options = { method: 'POST', body: batch, idempotent: true, timeout: UPLOAD_TIMEOUT, signal } as const
    await this.http.call('/v1/blobs', z.object({}), options)
  }

  /** Begins a run. Not repeated where it may have arrived: it would run twice. */
  async submit(request: z.input<typeof RunRequest>): Promise<RunCreated> {
    return await this.http.call('/v1/runs', RunCreated, { method: 'POST', body: request })
  }

  async run(id: string): Promise<Run> {
    return await this.http.call(`/v1/runs/${id}`, Run)
  }

  /** Asks for the end of a run; asking again, or after its end, is no error. */
  async cancel(id: string): Promise<Run> {
    return await this.http.call(`/v1/runs/${id}/cancel`, Run, { method: 'POST', body: {}, idempotent: true })
  }
}
