import type { Kysely } from 'kysely'
import { codeId } from '../../common/canonical-request.ts'
import type { CodeRequest } from '../../common/contract.ts'
import type { Digest } from '../blobs/blobs.ts'
import { granted } from '../database/code.ts'
import { wasPushed } from '../database/deliveries.ts'
import type { StateDatabase } from '../database/schema.ts'
import { commitDomain, type Domain, pullRequestDomain } from '../policy/domain.ts'
import type { Caller } from './caller.ts'
import { ApiError } from './errors.ts'
import { invalid } from './validate.ts'

type Db = Kysely<StateDatabase>

/**
 * Refuses code of another repository than the caller's, and blobs that the caller did not upload.
 * @throws {ApiError} naming the field
 */
export async function checkCode(db: Db, caller: Caller, code: CodeRequest): Promise<void> {
  checkDeployment(code)
  checkRepository(caller, code)
  const blobs = Object.entries(code['environment-files'] ?? {}).map(([path, digest]) => [
    `environment-files.${path}`,
    digest,
  ])
  code.mirror?.roots.forEach((digest, n) => {
    blobs.push([`mirror.roots.${n}`, digest])
  })
  if (code.bundle !== undefined) blobs.push(['bundle.digest', code.bundle.digest])
  for (const [field, digest] of blobs) {
    if (await granted(db, [caller.repository], digest as Digest)) continue
    const hint = `Upload it first: PUT /v1/blobs/${digest}.`
    throw new ApiError(400, 'blob-missing', `${field}: ${digest} was not uploaded for ${caller.name}`, hint)
  }
}

/** What belongs to one way of deployment alone. */
const OWN = {
  git_repo: ['commit', 'pull-request', 'bundle'],
  mirror_local: ['mirror'],
} as const

/**
 * Refuses a request that lacks what its deployment needs, or has what another needs.
 * @throws {ApiError} naming the field
 */
export function checkDeployment(code: CodeRequest): void {
  const { deployment, mirror } = code
  const [needed] = OWN[deployment]
  if (code[needed] === undefined) throw invalid(`${needed}: is missing`, `${deployment} needs it.`)
  for (const name of OWN[deployment === 'git_repo' ? 'mirror_local' : 'git_repo']) {
    if (code[name] !== undefined) throw invalid(`${name}: has no meaning with ${deployment}`, 'Leave it out.')
  }
  for (const [n, { root }] of (mirror?.['sys-path'] ?? []).entries()) {
    if (root < (mirror?.roots.length ?? 0)) continue
    throw invalid(`mirror.sys-path.${n}.root: there is no root ${root}`, 'Roots are counted from 0.')
  }
}

/** @throws {ApiError} 403 for code of another repository than the caller's */
export function checkRepository(caller: Caller, { repository }: Pick<CodeRequest, 'repository'>): void {
  if (repository.toLowerCase() === caller.name.toLowerCase()) return
  const message = `repository: this token is for ${caller.name}, not for ${repository}`
  throw new ApiError(403, 'wrong-repository', message, `Get a token for ${repository}.`)
}

/** The domains of the caller's repository in which this code may be known, nearest first. */
export function domainsOf({ repository }: Caller, code: CodeRequest): Domain[] {
  // Mirrored code is the caller's own, and nobody else's.
  if (code.mirror !== undefined) return [repository]
  const pull = code['pull-request']
  return [
    repository,
    ...(pull === undefined ? [] : [pullRequestDomain(repository, pull)]),
    commitDomain(repository, codeId(code)),
  ]
}

/** The widest domain that needs no look into git: the repository's own only where a signed push named the commit. */
export async function provenDomain(db: Db, caller: Caller, code: CodeRequest): Promise<Domain> {
  const commit = codeId(code)
  if (code.mirror !== undefined || (await wasPushed(db, caller.repository, commit))) return caller.repository
  const pull = code['pull-request']
  return pull === undefined ? commitDomain(caller.repository, commit) : pullRequestDomain(caller.repository, pull)
}
