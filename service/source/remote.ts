import { HintedError } from '../../common/hinted-error.ts'
/** Why a git host did not give what was asked. */
export type RemoteFault =
  | 'repository-not-found'
  | 'commit-not-found'
  | 'ref-not-found'
  | 'ref-malformed'
  | 'needs-credentials'
  | 'unreachable'
  | 'failed'

/** A git host did not give a repository or commit. */
export class RemoteError extends HintedError {
  override name = 'RemoteError'
  readonly code: RemoteFault
  /** Whether the same may go well a little later. */
  readonly retryable: boolean
  constructor(code: RemoteFault, message: string, hint: string) {
    super(message, hint)
    this.code = code
    this.retryable = code === 'unreachable'
  }
}

/**
 * Where a repository is fetched from: always made from the configured base and the repository's name, never taken from
 * a payload. `http:` is for the loopback alone, as anybody on the way could change what it carries.
 * @throws {RemoteError} when the base can't be used
 */
export function remoteUrl(base: URL, name: string): string {
  const loopback = ['127.0.0.1', 'localhost', '[::1]'].includes(base.hostname)
  if (base.protocol !== 'https:' && base.protocol !== 'file:' && !(base.protocol === 'http:' && loopback)) {
    throw new RemoteError('failed', `MEADOW_GIT_URL: ${base.protocol} is not allowed`, 'Use https: (or file:).')
  }
  const path = `${base.pathname.replace(/\/+$/, '')}/${name}`
  // git itself looks for `name` and `name.git` below file:, hosts answer for `name.git`.
  return base.protocol === 'file:' ? `file://${path}` : `${base.origin}${path}.git`
}

const FAULTS: [RegExp, Exclude<RemoteFault, 'ref-not-found' | 'ref-malformed' | 'failed'>][] = [
  [
    /not our ref|couldn't find remote ref|unadvertised object|no such remote ref|unable to find [0-9a-f]{40}/i,
    'commit-not-found',
  ],
  [
    /could not read (Username|Password)|Authentication failed|terminal prompts disabled|error: 40[13]\b/i,
    'needs-credentials',
  ],
  [
    /repository '[^']*' not found|does not appear to be a git repository|error: 404\b|No such file/i,
    'repository-not-found',
  ],
  [
    /Could not resolve|Failed to connect|Couldn't connect|Connection (refused|timed out|reset)|timed out|error: 5\d\d\b|early EOF|hung up|SSL|certificate/i,
    'unreachable',
  ],
]

const PROGRESS = /^remote: (Enumerating|Counting|Compressing|Total) /

/** Makes sense of what git said when it could not fetch. */
export function remoteError(said: string, { url, commit }: { url: string; commit?: string | undefined }): RemoteError {
  const code = FAULTS.find(([pattern]) => pattern.test(said))?.[1] ?? 'failed'
  const words = said
    .split(/[\r\n]+/)
    .filter((line) => /^(fatal|error|remote):/.test(line) && !PROGRESS.test(line))
    .join(' ')
    .slice(0, 1000)
  const own: Record<(typeof FAULTS)[number][1] | 'failed', [string, string]> = {
    'repository-not-found': [
      `there is no repository at ${url}`,
      'Check its name, and the setting MEADOW_GIT_URL of the service.',
    ],
    'commit-not-found': [`${url} has no commit ${commit ?? ''}`.trimEnd(), 'Push the commit first.'],
    'needs-credentials': [
      `${url} does not exist, or is private and asks for credentials`,
      "Check its name; give the service's user access to it (a git credential helper), or let the Action upload the code.",
    ],
    unreachable: [
      `${url} could not be reached: ${words || said.slice(0, 1000)}`,
      'Check the network between the service and the git host, and MEADOW_GIT_URL.',
    ],
    failed: [`git could not fetch from ${url}: ${words || said.slice(0, 1000)}`, "See the git host's own log."],
  }
  return new RemoteError(code, ...own[code])
}
