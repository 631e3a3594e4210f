import { existsSync } from 'node:fs'
import { glob, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { debianMirror } from './apt-sources.ts'
import { CommandFailed, runCommand, type Say } from './command.ts'
import { canInstall, ensurePackages, findProgram, SetupImpossible } from './packages.ts'
import { cacheFolder, STAND_IN_FORMAT, type StandIn } from './stand-ins.ts'

const INCLUDED = ['python3', 'python3-pip', 'python3-venv', 'ca-certificates']
/** What differs from one making to the next and no program needs. */
const REMOVED = [
  ...['etc/machine-id', 'etc/hostname', 'etc/resolv.conf', 'etc/.pwd.lock', 'etc/*-', 'var/lib/dbus/machine-id'],
  ...['var/cache/apt/*', 'var/cache/debconf/*-old', 'var/cache/ldconfig/aux-cache', 'var/lib/apt/lists/*'],
  ...['var/lib/dpkg/*-old', 'var/log/*', 'tmp/*', 'run/*', 'dev/*', 'debootstrap'],
]
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const MINUTES = 20

/**
 * The file system of a stand-in as a tar file, made once and kept in the cache folder; says what it does before.
 * @returns the path of the tar
 * @throws {SetupImpossible} where it can't be made here; the message says what to do
 * @throws {CommandFailed} when debootstrap does not manage
 */
export async function standInRootfs(standIn: StandIn, { say }: { say: Say }): Promise<string> {
  const folder = join(cacheFolder(), 'bases')
  const file = join(folder, `${standIn.suite}-${process.arch}-${STAND_IN_FORMAT}.tar`)
  if (existsSync(file)) return file
  if (!canInstall())
    throw new SetupImpossible(
      `A stand-in for ${standIn.name} is made by debootstrap, which needs root on a machine with apt. Run this as root ` +
        'there, or let MEADOW_BASE_REGISTRY name a registry that has the image.',
    )
  await ensurePackages(['debootstrap'], { say })
  await mkdir(folder, { recursive: true })
  const work = await mkdtemp(join(folder, `${standIn.suite}-`))
  try {
    const root = join(work, 'root')
    await bootstrap(standIn, root, say)
    const made = await releaseDate(root)
    await clean(root)
    await pack(root, join(work, 'tar'), made)
    await rename(join(work, 'tar'), file)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return file
}

async function bootstrap({ name, suite }: StandIn, root: string, say: Say): Promise<void> {
  const mirror = await debianMirror()
  if (!mirror)
    throw new SetupImpossible(
      `A stand-in for ${name} is made from a Debian mirror, and the sources of this machine's apt name none. Add one to ` +
        '/etc/apt/sources.list, or let MEADOW_BASE_REGISTRY name a registry that has the image.',
    )
  say(
    `Making a stand-in for ${name} from Debian's packages at ${mirror.url} (about a minute, kept for the next time) …`,
  )
  const keyring = [mirror.keyring, KEYRING].find((path) => path && existsSync(path))
  const options = ['--variant=minbase', `--include=${INCLUDED.join(',')}`, ...(keyring ? [`--keyring=${keyring}`] : [])]
  await runCommand(findProgram('debootstrap') ?? 'debootstrap', [...options, suite, root, mirror.url], {
    timeout: MINUTES * 60_000,
    // debootstrap calls programs of /usr/sbin; the rest of this environment is none of its business.
    env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, HOME: '/root', LC_ALL: 'C.UTF-8', ...proxies() },
    onLine: bootstrapProgress(say),
  })
}

function proxies(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name)))
}

/** Of debootstrap's many lines, its stages. */
function bootstrapProgress(say: Say): Say {
  let packages = 0
  return (line) => {
    if (/^I: Retrieving \S+ \S/.test(line) && ++packages % 25 === 0) say(`  ${packages} packages fetched`)
    if (/^I: (Installing core|Unpacking the base|Base system)|^[WE]:/.test(line)) say(`  ${line.slice(3)}`)
  }
}

/** When the suite was released, seconds since 1970: the newest time that a file of the image carries. */
async function releaseDate(root: string): Promise<number> {
  for await (const file of glob(join(root, 'var/lib/apt/lists/*Release'))) {
    const date = /^Date: (.*)$/m.exec(await readFile(file, 'utf8'))?.[1]
    if (date) return Date.parse(date) / 1000
  }
  throw new CommandFailed('debootstrap left no Release file behind')
}

async function clean(root: string): Promise<void> {
  for (const pattern of REMOVED)
    for await (const path of glob(join(root, pattern))) await rm(path, { recursive: true, force: true })
  // The day of an account's last password change, where there never was a password.
  const shadow = join(root, 'etc/shadow')
  const accounts = await readFile(shadow, 'utf8')
  await writeFile(shadow, accounts.replace(/^([^:]*:[*!]*):\d+:/gm, '$1:0:'))
}

async function pack(root: string, file: string, newest: number): Promise<void> {
  const order = ['--sort=name', '--format=gnu', '--numeric-owner', '--clamp-mtime', `--mtime=@${newest}`]
  await runCommand('tar', [...order, '-C', root, '-cf', file, '.'], { timeout: MINUTES * 60_000 })
}
