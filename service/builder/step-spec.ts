import { tarArchive } from '../../common/tar.ts'
import type { ContainerSpec, NetworkClass } from '../engine/engine.ts'
import type { BuilderContext, BuilderLimits } from './context.ts'

/** Where steps find what is put in. Never in an image. */
export const STEP_FOLDER = '/opt/meadow'
const CA_FILE = `${STEP_FOLDER}/ca.pem`

/** What is to run. */
export interface StepSpec {
  /** As it is said in errors: `compiling`. */
  name: string
  image: string
  command: string[]
  env?: Record<string, string>
  /** The image's own user where it is not set. */
  user?: string
  network: NetworkClass
  /** Capabilities that root keeps, as Linux names them without `CAP_`; none where it is not set. */
  capabilities?: string[]
  limits?: Partial<BuilderLimits>
  /** Whether its disk use is watched: where code runs that users chose. */
  watchDisk?: boolean
  /** Small files, by their path below `/`. */
  files?: Record<string, string>
}

/** The container that a step asks for. */
export function containerSpec(context: BuilderContext, spec: StepSpec, limits: BuilderLimits): ContainerSpec {
  const { memory, cpus, pids, disk } = limits
  const { caBundle, indexUrl } = context
  return {
    image: spec.image,
    command: spec.command,
    env: {
      LANG: 'C.UTF-8',
      HOME: '/tmp',
      ...(caBundle === undefined
        ? {}
        : { SSL_CERT_FILE: CA_FILE, PIP_CERT: CA_FILE, REQUESTS_CA_BUNDLE: CA_FILE, CURL_CA_BUNDLE: CA_FILE }),
      // uv has it from its settings, where more can be said of it.
      ...(indexUrl === undefined ? {} : pipIndex(new URL(indexUrl))),
      ...spec.env,
    },
    ...(spec.user === undefined ? {} : { user: spec.user }),
    workdir: '/',
    labels: { 'run.meadow.node': context.node, 'run.meadow.step': spec.name },
    memory,
    cpus,
    pids,
    disk,
    network: spec.network,
    ...(spec.capabilities && { capabilities: spec.capabilities }),
  }
}

/** pip asks an index by http: only where it is told that this is meant. */
function pipIndex({ href, protocol, host }: URL): Record<string, string> {
  return { PIP_INDEX_URL: href, ...(protocol === 'http:' && { PIP_TRUSTED_HOST: host }) }
}

/** A tar of a step's files, those that every step has included, with their folders; undefined where it has none. */
export function stepFiles({ caBundle }: BuilderContext, spec: StepSpec): Buffer | undefined {
  const files = { ...spec.files, ...(caBundle === undefined ? {} : { [CA_FILE]: caBundle }) }
  return Object.keys(files).length === 0 ? undefined : textsTar(files)
}

/** A tar of small files, with their folders. */
export function textsTar(files: Record<string, string>): Buffer {
  const folders = new Set<string>()
  for (const path of Object.keys(files)) {
    const parts = path.replace(/^\//, '').split('/').slice(0, -1)
    for (const [index] of parts.entries()) folders.add(parts.slice(0, index + 1).join('/'))
  }
  return tarArchive([
    ...[...folders].map((path) => ({ path, type: 'directory' as const, mode: 0o755, mtime: 0 })),
    ...Object.entries(files).map(([path, text]) => ({
      path: path.replace(/^\//, ''),
      type: 'file' as const,
      mode: 0o644,
      mtime: 0,
      content: Buffer.from(text),
    })),
  ])
}
