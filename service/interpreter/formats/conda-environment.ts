import { posix } from 'node:path'
import { forLinux, stemForLinux } from '../../../common/conda-files.ts'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { checkPython, condaLock, condaTarget, hasCredentials } from '../conda.ts'
import { isExact, isFolder, specChannel, specName, withoutSubdir } from '../conda-spec.ts'
import { type RefusedStep, ResolutionFailed, ResolverRefused } from '../resolution.ts'
import type { InterpreterSpec } from '../spec.ts'
import { condaPip } from './conda-pip.ts'
import { wrongPlatform } from './conda-platform.ts'
import { type CondaYaml, parseCondaYaml, type TextAt } from './conda-yaml.ts'
import type { Format } from './format.ts'
import { requiredText } from './required-text.ts'

/** Where none is named: what everybody may use, and what conda-forge's own installers ask. */
const DEFAULT_CHANNEL = 'conda-forge'

/** environment.yml, written by hand or by `conda env export`; solved for the base image. */
export const condaEnvironmentFormat: Format = {
  name: 'conda-environment',
  options: [],

  async instead(code, path, platform) {
    const there = new Set(await code.paths())
    const [first, second] = forLinux(path, platform)
      .map((alike) => alike.filter((each) => there.has(each)))
      .find((found) => found.length > 0) ?? [path]
    if (second === undefined) return first ?? path
    const hint = 'Remove one of them, or name the one that is meant with the input "interpreter".'
    throw new EnvironmentFileError(path, undefined, `both ${first} and ${second} are for Linux in its place`, hint)
  },

  async load(code, path) {
    const text = await requiredText(code, path)
    const yaml = parseCondaYaml(path, text)
    checkChannels(path, yaml)
    checkSpecs(path, yaml)
    return { [path]: text, ...(await condaPip.load(code, path, yaml.pip)) }
  },

  async local(code, { path, files }) {
    return await condaPip.local(code, path, files)
  },

  async lock(spec, probe, resolve) {
    const { path: file, yaml } = readYaml(spec)
    const target = condaTarget(file, probe)
    const python = spec.pythonVersion === undefined ? [] : [`python ${spec.pythonVersion}.*`]
    const specs = [...yaml.specs.map(({ text }) => text), ...python]
    try {
      const { artifacts } = await resolve({ conda: { specs, channels: channelsOf(yaml), target } })
      checkPython(spec, artifacts)
      const { variables } = yaml
      const versions = new Map(artifacts.map(({ name, version }) => [name, version]))
      const open = yaml.specs.filter(({ text }) => !isPinned(text, versions.get(specName(text))))
      return condaLock(
        file,
        artifacts,
        { subdir: target.subdir, variables, pip: yaml.pip.map(({ text }) => text) },
        {
          requirements: yaml.specs.map(({ text, line }) => ({ name: specName(text), text, file, line })),
          unpinned: open
            .map(({ text }) => specName(text))
            .filter((name) => versions.has(name))
            .sort(),
        },
      )
    } catch (error) {
      if (error instanceof ResolverRefused) throw explain(error, spec, yaml)
      throw error
    }
  },

  notes(spec) {
    const { path, yaml } = readYaml(spec)
    return yaml.unknown.map(({ text, line }) => `${path}:${line}: ${text} is not read: there is no such key`)
  },

  locate(spec, name) {
    const { path: file, yaml } = readYaml(spec)
    const found = yaml.specs.find(({ text }) => specName(text) === name)
    return found ? { file, line: found.line } : condaPip.locate(spec, name)
  },
}

function checkChannels(path: string, { channels, specs }: CondaYaml): void {
  const fail = (line: number, why: string, hint: string) => new EnvironmentFileError(path, line, why, hint)
  // Addresses of channels are shown, and kept in locks.
  const secret = [...channels, ...specs].find(({ text }) => hasCredentials(`${text}/`))
  if (secret) {
    const why = 'the address of this channel holds a user name, password or token'
    throw fail(secret.line, why, 'Take it out; credentials come in a later version.')
  }
  const named = [...channels, ...specs.map(({ text, line }) => ({ text: specChannel(text) ?? '', line }))]
  const folder = named.find(({ text }) => isFolder(text))
  if (folder) {
    const why = `${folder.text}: to conda this channel is a folder, which the service does not have`
    const hint = 'Serve it by https, and name it here by its address or in MEADOW_CONDA_CHANNELS on the service.'
    throw fail(folder.line, why, hint)
  }
}

function checkSpecs(path: string, { specs }: CondaYaml): void {
  const found = specs.find(({ text }) => /\.(?:conda|tar\.bz2)$/.test(text))
  if (found === undefined) return
  throw new EnvironmentFileError(
    path,
    found.line,
    `${found.text}: a package by its address is for explicit lists`,
    'Name it by its channel, like channel::name=version=build; or list all packages: conda list --explicit --sha256',
  )
}

function readYaml({ path, files }: InterpreterSpec): { path: string; yaml: CondaYaml } {
  const yaml = parseCondaYaml(path, files[path] ?? '')
  return { path, yaml: { ...yaml, specs: yaml.specs.map((each) => ({ ...each, text: withoutSubdir(each.text) })) } }
}

/** In their order, each once; those that a spec names (`channel::name`) behind them. */
function channelsOf({ channels, specs }: CondaYaml): string[] {
  const listed = channels.map(({ text }) => text).filter((text) => text !== 'nodefaults')
  const named = specs.flatMap(({ text }) => specChannel(text) ?? [])
  return [...new Set([...(listed.length > 0 ? listed : [DEFAULT_CHANNEL]), ...named])]
}

/** `numpy=2.1.0` would take 2.1.0.1 too, where that were there; an export without builds has nothing but such lines. */
function isPinned(spec: string, installed: string | undefined): boolean {
  if (isExact(spec) || /==\s*[\w.]+$/.test(spec)) return true
  return installed !== undefined && spec.endsWith(`=${installed}`) && !/[<>!~]=/.test(spec)
}

function explain(refused: ResolverRefused, spec: InterpreterSpec, yaml: CondaYaml): ResolutionFailed {
  const { path: file, pythonVersion } = spec
  const { step, message, package: named, elsewhere, hint, retryable } = refused
  if (step === 'platform' && elsewhere) {
    const names = elsewhere.specs.map((spec) => specName(spec))
    const line = yaml.specs.find(({ text }) => text === elsewhere.specs[0])?.line
    const { subdir, target, others } = elsewhere
    return wrongPlatform({ file, line }, subdir, target, { names, others }, wayOut(file, target.subdir))
  }
  const place =
    named === undefined
      ? spoken(message, yaml.specs)
      : [...yaml.channels, ...yaml.specs].find(({ text }) => text.replace(/\/+$/, '') === named)
  const input = pythonVersion === undefined ? '' : ` The input python-version asks for Python ${pythonVersion}.`
  return new ResolutionFailed(file, place?.line, message, (hint ?? hintOf(step, file)) + input, retryable)
}

function hintOf(step: RefusedStep, file: string): string {
  if (step === 'channel')
    return 'Correct "channels:", or name a channel of your own in MEADOW_CONDA_CHANNELS on the service.'
  if (step === 'platform') return `Take it out, or commit an environment without it${taken(file)}`
  return 'Ask for versions that go together and that the channels have for this platform.'
}

function wayOut(file: string, subdir: string): string {
  return [
    'Name only the packages that you ask for yourself ("conda env export --from-history"), without builds;',
    `or make the file on ${subdir} and commit it${taken(file)}`,
  ].join(' ')
}

/** How another file takes the place of one that was made elsewhere. What is named for Linux has none beside it. */
function taken(file: string): string {
  const stem = stemForLinux(file)
  if (stem === undefined) return ', and name that with the input "interpreter".'
  return ` as ${stem}-linux.yml: it is taken wherever it lies beside ${posix.basename(file)}.`
}

/** The line of the first package that an explanation speaks of. */
function spoken(message: string, specs: TextAt[]): TextAt | undefined {
  const words = new Set(message.toLowerCase().match(/[\w.-]+/g))
  return specs.find(({ text }) => words.has(specName(text)))
}
