import * as z from 'zod/mini'
import { APT_PACKAGE, APT_PACKAGE_HINT } from './apt-packages.ts'
import { BuildState, CacheAccount, Outcome, RunState, Verdict } from './events.ts'

/**
 * The shapes on the wire, version 1: what is asked and answered. Client and service check with the same schemas.
 * Field names are those of the inputs in action.yml.
 */

const sha256 = z.string().check(z.regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits'))

/** A commit by its full name. */
export const CommitId = z.string().check(z.regex(/^[0-9a-f]{40}$/, 'must be 40 lower-case hex digits'))

/** `owner/name`, as GitHub allows it. */
export const RepositoryName = z
  .string()
  .check(z.regex(/^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38})\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/, 'must be owner/name'))

/** A path inside a tree: relative, no `..`, no empty part. */
export const TreePath = z
  .string()
  .check(
    z.maxLength(4096),
    z.regex(/^(?!\/)(?!.*(?:^|\/)\.\.?(?:\/|$))(?!.*\/\/)[^\0\\]+$/, 'must be a path inside the repository'),
  )

export const NetworkClass = z.enum(['none', 'internet', 'open'])

/** What the client has of a commit that the service could not fetch itself; trusted only as far as the object ids prove it. */
export const UploadedBundle = z.object({
  digest: sha256,
  /** The raw commit object, base64. Its sha1 must be the commit's name. */
  'commit-object': z.string().check(z.maxLength(1_000_000)),
  /** Submodules of the tree: they carry no bytes but count in its object id. */
  gitlinks: z.array(z.object({ path: TreePath, id: CommitId })).check(z.maxLength(10_000)),
})
export type UploadedBundle = z.infer<typeof UploadedBundle>

const NameList = z
  .array(z.string().check(z.maxLength(200), z.regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/, 'must be a name')))
  .check(z.maxLength(100))

/** How the interpreter is named, by the inputs of action.yml. */
export const InterpreterRequest = z.object({
  /** `auto`, or the path of an environment file in the repository. */
  interpreter: z._default(z.string().check(z.minLength(1), z.maxLength(4096)), 'auto'),
  'python-version': z.optional(z.string().check(z.regex(/^3\.\d{1,2}$/, 'must look like 3.11'))),
  'base-image': z.optional(z.string().check(z.regex(/^[a-z0-9][a-zA-Z0-9._/:@-]{0,255}$/, 'must be an image name'))),
  /** Packages that the base's apt installs, with `=version` where one is asked for. */
  'additional-software': z.optional(
    z.array(z.string().check(z.maxLength(200), z.regex(APT_PACKAGE, APT_PACKAGE_HINT))).check(z.maxLength(100)),
  ),
  /** Dependency groups of a project or lock file. */
  groups: z.optional(NameList),
  /** Groups that are left out, though they are installed by default. */
  'without-groups': z.optional(NameList),
  /** Extras of a project or lock file. */
  extras: z.optional(NameList),
})
export type InterpreterRequest = z.infer<typeof InterpreterRequest>

/** Code of the caller's own machine: folders, each as the index of its pieces, and what of them was on `sys.path`. */
export const Mirror = z.object({
  /** Digests of indexes (common/piece-index.ts): what is put at `/workspace`, `/workspace.1` and so on. */
  roots: z.array(sha256).check(z.minLength(1), z.maxLength(100)),
  /**
   * In the order of the caller's `sys.path`. Without a path, the root itself. What was behind the standard library there
   * is so in the run too.
   */
  'sys-path': z
    .array(
      z.object({
        root: z.int().check(z.minimum(0), z.maximum(99)),
        path: z.optional(TreePath),
        behind: z.optional(z.boolean()),
      }),
    )
    .check(z.maxLength(1000)),
})
export type Mirror = z.infer<typeof Mirror>

/** The code of a run: with `git_repo`, a commit of a repository; with `mirror_local`, the caller's own. */
export const CodeRequest = z.object({
  deployment: z._default(z.enum(['git_repo', 'mirror_local'], 'must be git_repo or mirror_local'), 'git_repo'),
  /** The repository whose code it is, or in whose name mirrored code runs. */
  repository: RepositoryName,
  /** Of git_repo. */
  commit: z.optional(CommitId),
  /** Of mirror_local. */
  mirror: z.optional(Mirror),
  /** Names the pull request whose head or merge commit this is. */
  'pull-request': z.optional(z.int().check(z.minimum(1))),
  bundle: z.optional(UploadedBundle),
  /** Environment files that are not in the commit, uploaded as blobs. */
  'environment-files': z.optional(z.record(TreePath, sha256)),
  /** Whether submodules are fetched too, and theirs. */
  submodules: z.optional(z.boolean()),
  /** Whether files that are kept by Git LFS are fetched in place of their pointers. */
  lfs: z.optional(z.boolean()),
})
export type CodeRequest = z.infer<typeof CodeRequest>

/** What is taken of a commit beside its own files. */
export const CodeVariant = z.pick(CodeRequest, { submodules: true, lfs: true })
export type CodeVariant = z.infer<typeof CodeVariant>

/** `POST /v1/runs` */
export const RunRequest = z.object({
  ...CodeRequest.shape,
  ...InterpreterRequest.shape,
  'path-to-source': z.optional(TreePath),
  /** One of command, args and function. */
  command: z.optional(z.string().check(z.minLength(1), z.maxLength(100_000))),
  args: z.optional(z.array(z.string()).check(z.minLength(1), z.maxLength(10_000))),
  function: z.optional(
    z
      .string()
      .check(
        z.regex(
          /^[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/,
          'must be package.module:function',
        ),
      ),
  ),
  /** A JSON list is positional arguments, a JSON object keyword arguments. */
  'function-args': z.optional(z.union([z.array(z.json()), z.record(z.string(), z.json())])),
  env: z._default(z.record(z.string().check(z.regex(/^[A-Za-z_]\w*$/, 'must be a variable name')), z.string()), {}),
  'working-directory': z.optional(TreePath),
  /** How many CPUs, fractions allowed. */
  cpus: z.optional(z.number().check(z.positive(), z.maximum(1024))),
  /** Bytes. */
  memory: z.optional(z.int().check(z.minimum(16 * 1024 * 1024))),
  /** Milliseconds that the user's process may take. */
  timeout: z.optional(z.int().check(z.minimum(1))),
  network: z.optional(NetworkClass),
  /** Modules that a standby imports beforehand. */
  preload: z._default(z.array(z.string().check(z.regex(/^[A-Za-z_]\w*(?:\.\w+)*$/, 'must be a module name'))), []),
})
export type RunRequest = z.infer<typeof RunRequest>

/** What a container must be, to wait for a run: everything of a request that can't be changed once it waits. */
export const RunShape = z.pick(RunRequest, {
  'path-to-source': true,
  cpus: true,
  memory: true,
  network: true,
  preload: true,
})
export type RunShape = z.infer<typeof RunShape>

/** `POST /v1/builds`: prebuild without a run. */
export const BuildRequest = z.object({ ...CodeRequest.shape, ...InterpreterRequest.shape })
export type BuildRequest = z.infer<typeof BuildRequest>

/** `POST /v1/tokens` */
export const TokenRequest = z.object({
  /** A static token of the service. */
  token: z.string().check(z.minLength(1), z.maxLength(10_000)),
  repository: RepositoryName,
  /** GitHub's id of the workflow run, for the account of who ran what. */
  'workflow-run': z.optional(z.string().check(z.maxLength(100))),
})
export type TokenRequest = z.infer<typeof TokenRequest>

export const TokenResponse = z.object({ token: z.string(), expires: z.string() })
export type TokenResponse = z.infer<typeof TokenResponse>

/** `POST /v1/refs`: the commit that a branch or tag is at now. */
export const RefRequest = z.object({
  repository: RepositoryName,
  /** `main`, `v1`, `refs/heads/main`; `HEAD` is the default branch. */
  ref: z.string().check(z.minLength(1), z.maxLength(255)),
})
export type RefRequest = z.infer<typeof RefRequest>

/** `ref` is the whole name of what was found: `refs/tags/v1`. */
export const RefResponse = z.object({ commit: CommitId, ref: z.string() })
export type RefResponse = z.infer<typeof RefResponse>

/** `POST /v1/bundles/missing` */
export const MissingRequest = z.object({
  ...CodeRequest.shape,
  /** Digests of environment files that are not in the commit. */
  blobs: z._default(z.array(sha256).check(z.maxLength(1000)), []),
})
export type MissingRequest = z.infer<typeof MissingRequest>

export const MissingResponse = z.object({
  /** Whether the service lacks the commit's bundle and can't fetch it. */
  bundle: z.boolean(),
  /** Why, where it does. */
  reason: z.optional(z.string()),
  /**
   * Which of the blobs it lacks, and which of the mirror's. Upload each by `PUT /v1/blobs/:digest`, or many by
   * `POST /v1/blobs`. Of a mirror, ask again until nothing is missing: the indexes come first, then what they name.
   */
  blobs: z.array(sha256),
})
export type MissingResponse = z.infer<typeof MissingResponse>

/** `GET /v1/runs/:id` */
export const Run = z.object({
  id: z.string(),
  repository: z.string(),
  commit: z.string(),
  state: RunState,
  outcome: z.optional(Outcome),
  'exit-code': z.optional(z.int()),
  /** Why, where it ended badly. */
  message: z.optional(z.string()),
  hint: z.optional(z.string()),
  cache: z.optional(Verdict),
  image: z.optional(z.string()),
  build: z.optional(z.string()),
  'seconds-to-start': z.optional(z.number()),
  created: z.string(),
  started: z.optional(z.string()),
  finished: z.optional(z.string()),
})
export type Run = z.infer<typeof Run>

/** `201` of `POST /v1/runs`; `cache` is absent while it is not known yet. */
export const RunCreated = z.object({ id: z.string(), cache: z.optional(Verdict) })
export type RunCreated = z.infer<typeof RunCreated>

/** `GET /v1/builds/:id` */
export const Build = z.object({
  id: z.string(),
  state: BuildState,
  message: z.optional(z.string()),
  hint: z.optional(z.string()),
  cache: z.optional(CacheAccount),
  image: z.optional(z.string()),
  created: z.string(),
  finished: z.optional(z.string()),
})
export type Build = z.infer<typeof Build>

/** Every refusal. The message names the field, file or line at fault; the hint is the fix. */
export const ErrorBody = z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) })
export type ErrorBody = z.infer<typeof ErrorBody>
