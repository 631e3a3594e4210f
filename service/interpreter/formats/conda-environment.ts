import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import { condaLock, condaTarget, pythonOf } from '../conda.ts'
import { ResolutionFailed, ResolverRefused } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import { condaPip } from './conda-pip.ts'
import { wrongPlatform } from './conda-platform.ts'
import { type CondaYaml, parseCondaYaml, type TextAt } from './conda-yaml.ts'
import type { Format } from './format.ts'

/** Where none is named: what everybody may use, and what conda-forge's own installers ask. */
const DEFAULT_CHANNEL = 'conda-forge'
/** `numpy=2.1.0=py311h64a7726_0`, as `conda env export` writes it. */
const EXACT = /^(?:\S+::)?([\w.-]+)=([^=\s]+)=([^=\s[\]]+)$/

/** environment.yml, written by hand or by `conda env export`; solved for the base image. */
export const condaEnvironmentFormat: Format = {
  name: 'conda-environment',
  options: [],

  async load(code, path) {
    const files: EnvironmentFiles = {}
    for (const each of [path, ...forLinux(path)]) {
      const bytes = await code.read(each)
      if (bytes !== undefined) files[each] = environmentText(each, bytes)
    }
    if (files[path] === undefined) {
      throw new EnvironmentFileError(path, undefined, 'there is no such file', 'Commit it, or correct "interpreter".')
    }
    const { file, yaml } = readChosen({ path, files })
    return { ...files, ...(await condaPip.load(code, file, yaml.pip)) }
  },

  async local(code, loaded) {
    return await condaPip.local(code, readChosen(loaded).file, loaded.files)
  },

  async lock(spec, probe, resolve) {
    const { file, yaml } = readChosen(spec)
    const target = condaTarget(file, probe)
    const specs = yaml.specs.map(({ text }) => text)
    try {
      const { artifacts } = await resolve({ conda: { specs, channels: channelsOf(yaml), target } })
      pythonOf({ source: file, artifacts })
      const { variables } = yaml
      const versions = new Map(artifacts.map(({ name, version }) => [name, version]))
      const open = yaml.specs.filter(({ text }) => !isPinned(text, versions.get(nameOf(text))))
      return condaLock(
        file,
        artifacts,
        { subdir: target.subdir, variables, pip: yaml.pip.map(({ text }) => text) },
        {
          requirements: yaml.specs.map(({ text, line }) => ({ name: nameOf(text), text, file, line })),
          unpinned: open
            .map(({ text }) => nameOf(text))
            .filter((name) => versions.has(name))
            .sort(),
        },
      )
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, file, yaml)
      throw error
    }
  },

  locate(spec, name) {
    const { file, yaml } = readChosen(spec)
    const found = yaml.specs.find(({ text }) => nameOf(text) === name)
    return found ? { file, line: found.line } : condaPip.locate(spec, file, name)
  },
}

/** What pip installs on top, as a spec of its own. */
export function condaPipSpec(spec: InterpreterSpec): InterpreterSpec {
  return condaPip.spec(spec, readChosen(spec).file)
}

/** Files that are taken in place of one that was made elsewhere, the best first. */
function forLinux(path: string): string[] {
  const { dir, name, ext } = posix.parse(path)
  if (/-(?:linux|osx|win)(?:-\w+)?$/.test(name)) return []
  return ['linux-64', 'linux'].flatMap((system) =>
    [...new Set([ext, '.yml', '.yaml'])].map((end) => posix.join(dir, `${name}-${system}${end}`)),
  )
}

function readChosen({ path, files }: Pick<InterpreterSpec, 'path' | 'files'>): { file: string; yaml: CondaYaml } {
  const file = forLinux(path).find((each) => files[each] !== undefined) ?? path
  return { file, yaml: parseCondaYaml(file, files[file] ?? '') }
}

/** In their order, each once; those that a spec names (`channel::name`) behind them. */
function channelsOf({ channels, specs }: CondaYaml): string[] {
  const listed = channels.map(({ text }) => text).filter((text) => text !== 'nodefaults')
  const named = specs.flatMap(({ text }) => /^(\S+?)(?:\/[\w-]+)?::/.exec(text)?.[1] ?? [])
  return [...new Set([...(listed.length > 0 ? listed : [DEFAULT_CHANNEL]), ...named])]
}

function nameOf(spec: string): string {
  return (/^(?:\S+::)?([\w.-]+)/.exec(spec)?.[1] ?? spec).toLowerCase()
}

/** `numpy=2.1.0` would take 2.1.0.1 too, where that were there; an export without builds has nothing but such lines. */
function isPinned(spec: string, installed: string | undefined): boolean {
  if (EXACT.test(spec) || /==\s*[\w.]+$/.test(spec) || /@|\.(?:conda|tar\.bz2)$/.test(spec)) return true
  return installed !== undefined && spec.endsWith(`=${installed}`) && !/[<>!~]=/.test(spec)
}

function explain({ step, message, package: named, elsewhere }: ResolverRefused, file: string, yaml: CondaYaml) {
  if (step === 'platform' && elsewhere) {
    const names = elsewhere.specs.map((spec) => nameOf(spec))
    const line = yaml.specs.find(({ text }) => text === elsewhere.specs[0])?.line
    return wrongPlatform(file, line, elsewhere.subdir, elsewhere.target, { names, others: elsewhere.others })
  }
  const place = named === undefined ? spoken(message, yaml.specs) : yaml.specs.find(({ text }) => text === named)
  const hint =
    step === 'channel'
      ? 'Correct "channels:", or name a channel of your own in MEADOW_CONDA_CHANNELS on the service.'
      : 'Ask for versions that go together and that the channels have for this platform.'
  return new ResolutionFailed(file, place?.line, message, hint)
}

/** The line of the first package that an explanation speaks of. */
function spoken(message: string, specs: TextAt[]): TextAt | undefined {
  const words = new Set(message.toLowerCase().match(/[\w.-]+/g))
  return specs.find(({ text }) => words.has(nameOf(text)))
}
