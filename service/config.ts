import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import * as z from 'zod/mini'
import { DEFAULT_INDEX } from './interpreter/lock.ts'

/** A token that operators hand out by hand. */
export interface StaticToken {
  name: string
  /** What its holder sends. */
  secret: string
  /** `owner/name`, `owner/*` or `*`. */
  repositories: string[]
  permissions: 'run'[]
}

/** Where a server listens. */
export interface ListenAddress {
  host: string
  port: number
}

/** All settings of the service, checked. Sizes in bytes, times in milliseconds. */
export interface Config {
  data: string
  listen: ListenAddress
  listenPublic?: ListenAddress
  publicUrl?: URL
  /** Absent: made at the first start and kept in the data folder. */
  tokens?: StaticToken[]
  webhookSecret?: string
  gitUrl: URL
  baseRegistry: URL
  /** The operator's base images by Python version, the preferred one first. */
  bases: Record<string, string>
  /** The base of the builder image: the first of Python 3.11 or later. */
  builderBase: string
  caBundle?: string
  indexUrl?: URL
  publicIndexes: string[]
  /** Channels of conda by their names: those of the operator's own, and what stands for others. */
  condaChannels: Record<string, URL>
  /** Path of the engine's socket. */
  engineSocket: string
  node: { memory: number; cpus: number }
  run: { memory: number; cpus: number; timeout: number; disk: number }
  build: { memory: number; disk: number; timeout: number }
  standby: { perImage: number; lifetime: number; memory: number }
  /** How long an image is kept that is of no use, in milliseconds. */
  imageLifetime: number
}

/** Settings that are wrong: all of them, one a line. */
export class ConfigInvalid extends Error {
  override name = 'ConfigInvalid'
  constructor(problems: string[]) {
    super(`the settings are wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  }
}

const DEFAULT_BASES = 'python:3.11-slim-bookworm,python:3.9-slim-bullseye,python:3.13-slim-trixie'
const UNITS: Record<string, number> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, kB: 1e3, MB: 1e6, GB: 1e9 }
const TIMES: Record<string, number> = { '': 1000, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const TokenList = z.array(
  z.object({
    name: z.string().check(z.minLength(1)),
    token: z.string().check(z.minLength(16)),
    repositories: z.array(z.string()),
    permissions: z._default(z.array(z.literal('run')), ['run']),
  }),
)

/** Reads one setting at a time and keeps what is wrong, so that all of it is said at once. */
class Settings {
  readonly problems: string[] = []
  readonly #env: NodeJS.ProcessEnv
  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env
  }

  read<T>(name: string, parse: (text: string) => T): T | undefined
  read<T>(name: string, parse: (text: string) => T, fallback: string): T
  read<T>(name: string, parse: (text: string) => T, fallback?: string): T | undefined {
    const text = this.#env[name]?.trim() || fallback
    if (text === undefined) return undefined
    try {
      return parse(text)
    } catch (error) {
      this.problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }

  /** Names that begin like ours and mean nothing: most often a typing error. */
  unknown(known: ReadonlySet<string>): void {
    for (const name of Object.keys(this.#env)) {
      if (name.startsWith('MEADOW_') && !known.has(name)) this.problems.push(`${name}: there is no such setting`)
    }
  }
}

/**
 * Reads `MEADOW_*`.
 * @throws {ConfigInvalid} that names every setting at fault
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const settings = new Settings(env)
  settings.unknown(KNOWN)
  const indexUrl = settings.read('MEADOW_INDEX_URL', url('https:', 'http:'))
  const memory = settings.read('MEADOW_NODE_MEMORY', bytes) ?? Math.floor(totalmem() * 0.8)
  const optional = {
    listenPublic: settings.read('MEADOW_LISTEN_PUBLIC', listenAddress),
    publicUrl: settings.read('MEADOW_PUBLIC_URL', url('https:', 'http:')),
    tokens: settings.read('MEADOW_TOKEN', tokens),
    webhookSecret: settings.read('MEADOW_WEBHOOK_SECRET', secret),
    // Node and OpenSSL are told of a company's own authority by these; builders need the same.
    caBundle:
      settings.read('MEADOW_CA_BUNDLE', (path) => resolve(path)) ?? env.NODE_EXTRA_CA_CERTS ?? env.SSL_CERT_FILE,
    indexUrl,
  }
  const config = {
    data: settings.read('MEADOW_DATA', (path) => resolve(path), '.meadow'),
    listen: settings.read('MEADOW_LISTEN', listenAddress, '127.0.0.1:8470'),
    gitUrl: settings.read('MEADOW_GIT_URL', url('https:', 'file:', 'http:'), 'https://github.com'),
    baseRegistry: settings.read('MEADOW_BASE_REGISTRY', url('https:', 'http:'), 'https://registry-1.docker.io'),
    bases: settings.read('MEADOW_BASES', bases, DEFAULT_BASES),
    condaChannels: settings.read('MEADOW_CONDA_CHANNELS', channels, ''),
    publicIndexes: settings.read('MEADOW_PUBLIC_INDEXES', list, DEFAULT_INDEX),
    engineSocket: settings.read('MEADOW_ENGINE', socket, 'unix:///var/run/docker.sock'),
    node: { memory, cpus: settings.read('MEADOW_NODE_CPUS', positive, String(cpus().length)) },
    run: {
      memory: settings.read('MEADOW_RUN_MEMORY', bytes, '2GiB'),
      cpus: settings.read('MEADOW_RUN_CPUS', positive, '1'),
      timeout: settings.read('MEADOW_RUN_TIMEOUT', duration, '6h'),
      disk: settings.read('MEADOW_RUN_DISK', bytes, '20GiB'),
    },
    build: {
      memory: settings.read('MEADOW_BUILD_MEMORY', bytes, '4GiB'),
      disk: settings.read('MEADOW_BUILD_DISK', bytes, '20GiB'),
      timeout: settings.read('MEADOW_BUILD_TIMEOUT', duration, '30m'),
    },
    standby: {
      perImage: settings.read('MEADOW_STANDBYS', count, '1'),
      lifetime: settings.read('MEADOW_STANDBY_LIFETIME', duration, '1h'),
      memory: settings.read('MEADOW_STANDBY_MEMORY', bytes, String(Math.floor(memory / 2))),
    },
    imageLifetime: settings.read('MEADOW_IMAGE_LIFETIME', duration, '30d'),
  }
  const builderBase = Object.entries(config.bases ?? {}).find(([version]) => Number(version.slice(2)) >= 11)?.[1]
  if (config.bases && !builderBase) settings.problems.push('MEADOW_BASES: one of them must have Python 3.11 or later')
  if (settings.problems.length > 0) throw new ConfigInvalid(settings.problems)
  return { ...config, builderBase: builderBase ?? '', ...present(optional) }
}

const KNOWN = new Set([
  ...['MEADOW_DATA', 'MEADOW_LISTEN', 'MEADOW_LISTEN_PUBLIC', 'MEADOW_PUBLIC_URL', 'MEADOW_TOKEN'],
  ...['MEADOW_WEBHOOK_SECRET', 'MEADOW_GIT_URL', 'MEADOW_BASE_REGISTRY', 'MEADOW_BASES', 'MEADOW_CA_BUNDLE'],
  ...[
    'MEADOW_INDEX_URL',
    'MEADOW_PUBLIC_INDEXES',
    'MEADOW_CONDA_CHANNELS',
    'MEADOW_ENGINE',
    'MEADOW_NODE_MEMORY',
    'MEADOW_NODE_CPUS',
  ],
  ...['MEADOW_RUN_MEMORY', 'MEADOW_RUN_CPUS', 'MEADOW_RUN_TIMEOUT', 'MEADOW_RUN_DISK', 'MEADOW_STANDBYS'],
  ...['MEADOW_BUILD_MEMORY', 'MEADOW_BUILD_DISK', 'MEADOW_BUILD_TIMEOUT'],
  ...['MEADOW_STANDBY_LIFETIME', 'MEADOW_STANDBY_MEMORY', 'MEADOW_IMAGE_LIFETIME'],
])

/** One token for all repositories, or a JSON list of tokens. */
function tokens(text: string): StaticToken[] {
  if (!text.startsWith('['))
    return [{ name: 'default', secret: secret(text), repositories: ['*'], permissions: ['run'] }]
  return z.parse(TokenList, JSON.parse(text)).map(({ token, ...rest }) => ({ ...rest, secret: token }))
}

/** Leaves out what is not set, so that `in` and `?.` tell the same. */
function present<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}

function url(...protocols: string[]): (text: string) => URL {
  return (text) => {
    const parsed = new URL(text)
    if (!protocols.includes(parsed.protocol)) throw new Error(`must begin with ${protocols.join(' or ')}`)
    if (parsed.username || parsed.password) throw new Error('must not hold a user name or password')
    return parsed
  }
}

function listenAddress(text: string): ListenAddress {
  const match = /^(\[[0-9a-f:]+\]|[^:]+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (!match?.[1] || port > 65_535) throw new Error('must look like 127.0.0.1:8470')
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}

function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kKMG]i?B)?$/.exec(text)
  const unit = UNITS[match?.[2] ?? '']
  if (!match || unit === undefined) throw new Error('must look like 2GiB')
  return Math.floor(Number(match[1]) * unit)
}

function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|m|h|d)?$/.exec(text)
  if (!match) throw new Error('must look like 30m')
  return Number(match[1]) * (TIMES[match[2] ?? ''] as number)
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error('must be a number above 0')
  return value
}

function count(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw new Error('must be a whole number')
  return Number(text)
}

function secret(text: string): string {
  if (text.length < 16) throw new Error('must have at least 16 characters')
  return text
}

function list(text: string): string[] {
  return text.split(',').map((part) => part.trim().replace(/\/$/, ''))
}

/** `python:3.11-slim-bookworm` serves Python 3.11; the first one serves where nothing is said. */
function bases(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of list(text)) {
    const version = /:(3\.\d{1,2})(?:[.-]|$)/.exec(name)?.[1]
    if (!version)
      throw new Error(`${name}: its tag must begin with the Python version, as in python:3.11-slim-bookworm`)
    found[version] ??= name
  }
  return found
}

/** `ours=https://conda.example.com/ours`, separated by commas. */
function channels(text: string): Record<string, URL> {
  const pairs = list(text).filter((each) => each !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, address] = /^([^=\s]+)=(\S+)$/.exec(pair) ?? []
      if (!name || !address)
        throw new Error(`${pair}: must look like conda-forge=https://conda.example.com/conda-forge`)
      return [name, url('https:', 'http:')(address)]
    }),
  )
}

function socket(text: string): string {
  const parsed = new URL(text)
  if (parsed.protocol !== 'unix:') throw new Error('must be the path of a socket, as in unix:///var/run/docker.sock')
  return parsed.pathname
}
