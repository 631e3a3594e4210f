import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { runCommand, type Say } from './command.ts'

/** Debian packages that the machine may lack, each with a program that proves it is there. */
const PROGRAM_OF = {
  'docker.io': 'dockerd',
  debootstrap: 'debootstrap',
  skopeo: 'skopeo',
  'docker-registry': 'docker-registry',
  git: 'git',
  iptables: 'iptables',
  python3: 'python3',
} as const

/** A package that `ensurePackages` can install. */
export type PackageName = keyof typeof PROGRAM_OF

/** Something is missing, and this program can't or may not install it. The message says what to do. */
export class SetupImpossible extends Error {
  override name = 'SetupImpossible'
}

const APT_MINUTES = 15

/**
 * Installs the packages whose programs are not in the PATH, by apt; says so before it begins.
 * @throws {SetupImpossible} where something is missing and there is no apt, or no right to use it
 * @throws {CommandFailed} when apt does not manage
 */
export async function ensurePackages(names: PackageName[], { say }: { say: Say }): Promise<void> {
  const missing = names.filter((name) => !findProgram(PROGRAM_OF[name]))
  if (missing.length === 0) return
  if (!canInstall())
    throw new SetupImpossible(
      `This machine lacks ${missing.map((name) => PROGRAM_OF[name]).join(', ')}. Install ${missing.join(', ')} ` +
        '(on Debian and Ubuntu: sudo apt-get install), or run this as root on a machine that has apt, and try again.',
    )
  say(`Installing ${missing.join(', ')} by apt-get …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' }
  const options = { env, timeout: APT_MINUTES * 60_000, onLine: aptProgress(say) }
  await runCommand('apt-get', ['update'], options)
  await runCommand('apt-get', ['install', '-y', '--no-install-recommends', ...missing], options)
}

/** The path of a program, or undefined. Looks into the folders of system programs too, which a user's PATH may lack. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

/** Whether this process may install packages: root, and apt is there. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && findProgram('apt-get') !== undefined
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Of apt's many lines, those that show that it gets on. */
function aptProgress(say: Say): Say {
  return (line) => {
    if (/^(Setting up|E:|W:)/.test(line)) say(`  ${line.replace(/ \.\.\.$/, '')}`)
  }
}
