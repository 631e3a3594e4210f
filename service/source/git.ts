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

/** The same for talking to a host by one protocol, after redirects too. */
export function remoteEnvironment(protocol: string): Record<string, string> {
  return { ...gitEnvironment(), GIT_ALLOW_PROTOCOL: protocol.replace(':', '') }
}

/** The same for addresses that a repository names: without the credentials and settings of this machine's user. */
export function strangersEnvironment(protocol: string): Record<string, string> {
  return {
    ...remoteEnvironment(protocol),
    HOME: '/nonexistent',
    GIT_CONFIG_GLOBAL: '/dev/null',
  }
}

/** Settings of every call to a host, `name=value`. */
export function remoteConfig(caBundle: string | undefined): string[] {
  const config = ['protocol.version=2', 'gc.auto=0', 'maintenance.auto=false', 'fetch.recurseSubmodules=false']
  // A host that stalls is given up long before the time limit.
  config.push('http.lowSpeedLimit=100', 'http.lowSpeedTime=60')
  return caBundle ? [...config, `http.sslCAInfo=${caBundle}`] : config
}

/** What fetches one commit without its history, before the address and the commit. */
export const FETCH_COMMIT = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--depth=1', '--']

/** git for talking to a host, with nothing of the surrounding environment. */
export function remoteGit({ folder, protocol, signal, caBundle }: RemoteGitOptions): SimpleGit {
  return simpleGit({
    baseDir: folder,
    abort: signal,
    config: remoteConfig(caBundle),
    allowEnvironment: ['GIT_CONFIG_NOSYSTEM', 'GIT_TERMINAL_PROMPT', 'GIT_ALLOW_PROTOCOL'],
  }).env(remoteEnvironment(protocol))
}
