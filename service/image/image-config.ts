import type { BaseImage, LayerDescriptor } from './base.ts'
import type { LayoutLayer } from './layout.ts'
import { ENVIRONMENT, type EnvironmentKind, FIXED_TIME } from './skeleton.ts'

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const VIRTUAL = { VIRTUAL_ENV: `/${ENVIRONMENT}` }
const CREATED = new Date(FIXED_TIME * 1000).toISOString()

/** What an image's processes get besides what the base image says. */
export interface ImageOverrides {
  /** Added to the base's, or in place of them. */
  env?: Record<string, string>
  /** What activating the environment sets, where it is no virtual environment. */
  active?: Record<string, string>
  labels?: Record<string, string>
}

/**
 * An OCI image config: the base's platform, user, working directory and variables, with the environment active. No
 * entry point and no health check. Depends on its arguments alone, so the same image has the same digest.
 * https://github.com/opencontainers/image-spec/blob/main/config.md
 */
export function imageConfig(
  base: BaseImage,
  layers: Pick<LayoutLayer, 'title' | 'layer'>[],
  overrides: ImageOverrides = {},
  kind: EnvironmentKind = 'venv',
): Buffer {
  const [os, architecture, variant] = base.platform.split('/')
  const { user, workdir } = base.defaults
  const config = {
    created: CREATED,
    architecture,
    os,
    ...(variant && { variant }),
    config: {
      ...(user && { User: user }),
      Env: environment(base.defaults.env, overrides, kind),
      ...(workdir && { WorkingDir: workdir }),
      ...(overrides.labels && { Labels: sorted(overrides.labels) }),
    },
    rootfs: { type: 'layers', diff_ids: [...base.layers, ...layers.map(({ layer }) => layer)].map(diffIdOf) },
    history: [
      ...base.layers.map(() => ({ created: CREATED, created_by: `base image ${base.digest}` })),
      ...layers.map(({ title }) => ({ created: CREATED, created_by: title })),
    ],
  }
  return Buffer.from(JSON.stringify(config))
}

/**
 * The base's variables as `activate` would change them, where there is an environment: our PATH first, and no
 * PYTHONHOME.
 */
function environment(base: string[], { env = {}, active = VIRTUAL }: ImageOverrides, kind: EnvironmentKind): string[] {
  const variables = new Map(base.map((pair): [string, string] => splitOnce(pair)))
  if (kind !== 'image') {
    variables.delete('PYTHONHOME')
    variables.set('PATH', `/${ENVIRONMENT}/bin:${variables.get('PATH') || DEFAULT_PATH}`)
  }
  for (const given of kind === 'image' ? [env] : [active, env])
    for (const [name, value] of Object.entries(sorted(given))) variables.set(name, value)
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

function splitOnce(pair: string): [string, string] {
  const equals = pair.indexOf('=')
  return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
}

function sorted(record: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function diffIdOf(layer: LayerDescriptor): string {
  return layer.diffId
}
