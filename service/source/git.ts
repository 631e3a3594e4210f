import { type SimpleGit, simpleGit } from 'simple-git'

/** What git of the service may know of this machine: nothing that a repository or a payload could have set. */
export function gitEnvironment(): Record<string, string> {
  const passed = ['PATH', 'HOME', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'] as const
  return {
    ...Object.fromEntries(passed.flatMap((name) => (process.env[name] ? [[name, process.env[name] as string]] : []))),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    LC_ALL: 'C',
  }
}

/** How long one git command may take, and who may end it sooner. */
export interface RemoteGitOptions {
  folder: string
  /** `https:`, `http:` or `file:` – the only protocol that may be used, after redirects too. */
  protocol: string
  signal: AbortSignal
  /** PEM file with further authorities. */
  caBundle?: string | undefined
}

/** git for talking to a host, with nothing of the surrounding environment. */
export function remoteGit({ folder, protocol, signal, caBundle }: RemoteGitOptions): SimpleGit {
  const config = ['protocol.version=2', 'gc.auto=0', 'maintenance.auto=false', 'fetch.recurseSubmodules=false']
  // A host that stalls is given up long before the time limit.
  config.push('http.lowSpeedLimit=100', 'http.lowSpeedTime=60')
  if (caBundle) config.push(`http.sslCAInfo=${caBundle}`)
  return simpleGit({
    baseDir: folder,
    abort: signal,
    config,
    allowEnvironment: ['GIT_CONFIG_NOSYSTEM', 'GIT_TERMINAL_PROMPT', 'GIT_ALLOW_PROTOCOL'],
  }).env({ ...gitEnvironment(), GIT_ALLOW_PROTOCOL: protocol.replace(':', '') })
}
