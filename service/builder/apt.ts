import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { PassingError } from '../../common/hinted-error.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import type { WrittenLayer } from '../image/layers.ts'
import { changesOf, type FileChanges, writeSystemLayer } from '../image/system-layer.ts'
import type { BuilderContext } from './context.ts'
import { BrokenFrames, Frames, OutputEnded } from './frames.ts'
import type { StepOptions } from './options.ts'
import { Step, StepFailed } from './step.ts'

const PROGRAM = readFileSync(join(import.meta.dirname, 'apt.sh'), 'utf8')
/** Exit codes of `apt.sh`. */
const NO_APT = 90
const TROUBLE = 91
/** What dpkg and the packages' own scripts need to own files and to change users; the engine gives none by itself. */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETGID', 'SETUID']
/** Seconds by which clocks may differ from each other. */
const CLOCKS = 60
/** Bytes of a list of all files. */
const MOST_LISTING = 512 * 2 ** 20
const Announced = z.object({ size: z.int().check(z.minimum(0)) })

/** Software could not be installed. */
export class AptFailed extends PassingError {
  override name = 'AptFailed'
}

/** What apt made of a list of packages. */
export interface Installed {
  /** All that it installs and removes, dependencies included: `tree=2.1.0-1`, `mawk-`. In the order of names. */
  versions: string[]
  /** Absent where nothing had to be done, or where these versions were known. */
  layer?: WrittenLayer
}

/** How a list of packages is installed. */
export interface AptOptions extends StepOptions {
  /** Whether the layer of these versions is known, so that it need not be made. */
  isKnown: (versions: string[]) => Promise<boolean>
}

/**
 * Installs packages by the base's own apt, in a container of it with network, and makes a layer of what that changed.
 * @param packages checked names, with `=version` where one is asked for
 * @throws {AptFailed} in apt's own words
 */
export async function installByApt(
  context: BuilderContext,
  blobs: Blobs,
  base: BaseImage,
  packages: string[],
  options: AptOptions,
): Promise<Installed> {
  await using step = await Step.open(
    context,
    {
      name: 'installing additional software',
      image: base.reference,
      command: ['/bin/sh', '-c', PROGRAM, 'apt.sh', ...packages],
      user: '0:0',
      env: { DEBIAN_FRONTEND: 'noninteractive', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      capabilities: CAPABILITIES,
      network: context.network,
      watchDisk: true,
    },
    options,
  )
  try {
    await step.start()
    return await converse(step, blobs, options).catch((error) => step.blame(error))
  } catch (error) {
    throw error instanceof StepFailed ? failed(error, base, packages) : error
  }
}

async function converse(step: Step, blobs: Blobs, { isKnown }: AptOptions): Promise<Installed> {
  const began = Math.floor(Date.now() / 1000) - CLOCKS
  const frames = new Frames(step.stdout)
  const versions = versionsOf((await announced(frames)).toString())
  if (versions.length === 0 || (await isKnown(versions))) {
    step.stdin.end('stop\n')
    await step.finish()
    return { versions }
  }
  await step.write('go\n')
  const before = await announced(frames)
  const changes = changesOf(before, await announced(frames))
  await sendNames(step, changes)
  const layer = await writeSystemLayer(changes, frames.pieces(await sizeOf(frames)), began, blobs)
  await step.finish()
  return { versions, layer }
}

async function sendNames(step: Step, { files }: FileChanges): Promise<void> {
  for (const path of files.keys()) if (!(await step.write(`${path}\0`))) break
  step.stdin.end()
}

async function announced(frames: Frames): Promise<Buffer> {
  const size = await sizeOf(frames)
  if (size > MOST_LISTING) throw new BrokenFrames(`a list of ${size} bytes`)
  return await frames.bytes(size)
}

async function sizeOf(frames: Frames): Promise<number> {
  const line = await frames.line()
  if (line === undefined) throw new OutputEnded('it ended early')
  const said = z.safeParse(Announced, line)
  if (!said.success) throw new BrokenFrames('what it says of its output is not credible')
  return said.data.size
}

/** What `apt-get --simulate` says that it would do: `Inst tree (2.1.0-1 Debian:12 [amd64])`, `Remv mawk [1.3]`. */
export function versionsOf(plan: string): string[] {
  const versions: string[] = []
  for (const line of plan.split('\n')) {
    const [, install, version] = /^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) /.exec(line) ?? []
    if (install !== undefined) versions.push(`${install}=${version}`)
    const [, remove] = /^Remv (\S+) /.exec(line) ?? []
    if (remove !== undefined) versions.push(`${remove}-`)
  }
  return versions.sort()
}

function failed({ exitCode, log }: StepFailed, base: BaseImage, packages: string[]): AptFailed {
  if (exitCode === NO_APT || /exec: "\/bin\/sh"/.test(log)) {
    return new AptFailed(
      `additional-software: ${base.name} has no apt-get, so nothing can be installed in it`,
      'Name a base-image of Debian or Ubuntu, or one that has the software; or take additional-software out.',
    )
  }
  const said = log.split('\n').filter((line) => /^[EW]: /.test(line) || /^ +\S/.test(line))
  const words = (said.length > 0 ? said : log.trim().split('\n').slice(-20)).join('\n')
  const message = `additional-software: apt can't install ${packages.join(' ')} in ${base.name}:\n${words}`
  if (exitCode === TROUBLE) {
    return new AptFailed(message, "See that the base image's package sources can be reached from the service.", true)
  }
  const hint = /^E: Version /m.test(log)
    ? 'Name a version that this base has, or none: apt-cache policy NAME lists them.'
    : /^E: Unable to locate/m.test(log)
      ? "Correct the name, or name a base-image whose package sources have it; search at the distribution's package pages."
      : 'Correct additional-software, or name another base-image.'
  return new AptFailed(message, hint)
}
