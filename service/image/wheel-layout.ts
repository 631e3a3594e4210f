import { normalizeName } from '../../common/package-name.ts'
import { ENVIRONMENT } from './skeleton.ts'
import { sameVersion, type WheelName } from './wheel-name.ts'
import { WheelRefused } from './wheel-refused.ts'
import type { ZipEntry } from './zip-directory.ts'

/** A file of a wheel and where it goes. */
export interface PlacedFile {
  entry: ZipEntry
  /** Below `/`, without a leading slash. */
  path: string
  /** Whether it is a script of the wheel's own: executable, its shebang perhaps rewritten. */
  script: boolean
}

/** A wheel's files, each at its place, and the folder that describes the wheel. */
export interface WheelLayout {
  files: PlacedFile[]
  /** Installed path of its dist-info folder. */
  distInfo: string
  /** Files directly in it, by name. */
  described: Map<string, ZipEntry>
}

/** Where a virtual environment at /opt/env keeps things (sysconfig's scheme `venv`). */
export function environmentFolders(python: string) {
  return {
    site: `${ENVIRONMENT}/lib/python${python}/site-packages`,
    scripts: `${ENVIRONMENT}/bin`,
    headers: `${ENVIRONMENT}/include/site/python${python}`,
  }
}

/** Type bits of a Unix mode. */
const TYPE = 0o170000
const REGULAR = 0o100000
const LINK = 0o120000

/**
 * Decides where each file of a wheel goes.
 * https://packaging.python.org/en/latest/specifications/binary-distribution-format/#installing-a-wheel-distribution-1-0-py32-none-any-whl
 * @param filename the wheel's
 * @param python `3.11`
 * @throws {WheelRefused} when one would go where it may not
 */
export function layOutWheel(filename: string, name: WheelName, entries: ZipEntry[], python: string): WheelLayout {
  const folders = environmentFolders(python)
  const own = ownFolders(filename, name, entries)
  const files: PlacedFile[] = []
  const described = new Map<string, ZipEntry>()
  for (const entry of entries) {
    checkType(filename, entry)
    if (entry.name.endsWith('/')) continue
    const { path, script } = place(filename, name, entry, own.data, folders)
    checkPlace(filename, entry.name, path, `${folders.site}/${own.distInfo}`)
    const [top, file, ...deeper] = entry.name.split('/')
    if (top === own.distInfo && file !== undefined && deeper.length === 0) described.set(file, entry)
    files.push({ entry, path, script })
  }
  return { files, distInfo: `${folders.site}/${own.distInfo}`, described }
}

/** Whether the zip says that a file is executable. */
export function isExecutable({ unixMode }: ZipEntry): boolean {
  return (unixMode & TYPE) === REGULAR && (unixMode & 0o111) !== 0
}

/**
 * Checks a path that is to be installed, whatever way it came about.
 * @param distInfo installed path of the wheel's own dist-info folder
 * @throws {WheelRefused}
 */
export function checkPlace(filename: string, entry: string, path: string, distInfo: string): void {
  const refuse = (reason: string, hint?: string): never => {
    throw new WheelRefused(filename, entry, reason, hint)
  }
  const [first = '', second = '', ...deeper] = path.slice(ENVIRONMENT.length + 1).split('/')
  if (deeper.length === 0 && (first === 'pyvenv.cfg' || second === 'pyvenv.cfg')) {
    refuse('would replace pyvenv.cfg, which makes the environment')
  }
  const isPython = /^python[\d.]*w?$/i.test(second)
  if (first === 'bin' && isPython) refuse(`would replace the environment's interpreter bin/${second}`)
  if (second === '' && ['bin', 'include', 'lib', 'lib64'].includes(first))
    refuse("would replace a folder of the environment's")
  if (Buffer.byteLength(path) > 4000) refuse('has a path of more than 4000 bytes')
  const inSite = /^opt\/env\/lib\/python[^/]+\/site-packages\/([^/]+)/.exec(path)?.[1]
  if (inSite?.toLowerCase().endsWith('.dist-info') && !path.startsWith(`${distInfo}/`)) {
    refuse('belongs to the dist-info folder of another distribution')
  }
}

/** The names of the wheel's `.dist-info` and, where it has one, `.data` folder. */
function ownFolders(filename: string, name: WheelName, entries: ZipEntry[]): { distInfo: string; data?: string } {
  const tops = new Set(entries.map((entry) => entry.name.split('/', 1)[0] as string))
  const distInfos = [...tops].filter((top) => top.toLowerCase().endsWith('.dist-info'))
  const dataFolders = [...tops].filter((top) => top.toLowerCase().endsWith('.data'))
  const foreign = [...distInfos, ...dataFolders].find((folder) => !describes(folder, name))
  if (foreign !== undefined) {
    throw new WheelRefused(
      filename,
      foreign,
      `is not the folder of ${name.distribution} ${name.version}, which the file name says`,
      'A wheel holds one distribution, the one that its file name says. Was the file renamed?',
    )
  }
  const [distInfo, second] = distInfos
  if (distInfo === undefined) throw new WheelRefused(filename, undefined, 'has no .dist-info folder')
  const [data, secondData] = dataFolders
  const twice = second ?? secondData
  if (twice !== undefined) throw new WheelRefused(filename, twice, 'is a second folder of its kind')
  return { distInfo, ...(data !== undefined && { data }) }
}

/** Whether `{distribution}-{version}.dist-info` or `.data` is that of a wheel. */
function describes(folder: string, { name, version }: WheelName): boolean {
  const [, distribution = '', folderVersion = ''] = /^(.+)-([^-]+)\.(?:dist-info|data)$/.exec(folder) ?? []
  return normalizeName(distribution) === name && sameVersion(folderVersion, version)
}

function checkType(filename: string, { name, unixMode, size }: ZipEntry): void {
  const type = unixMode & TYPE
  if (type === LINK) throw new WheelRefused(filename, name, 'is a symbolic link, which wheels may not hold')
  if (name.endsWith('/')) {
    if (size !== 0) throw new WheelRefused(filename, name, 'is a folder with content')
  } else if (type !== 0 && type !== REGULAR) {
    throw new WheelRefused(filename, name, `is no file (type ${type.toString(8)})`)
  }
}

function place(
  filename: string,
  { distribution }: WheelName,
  { name }: ZipEntry,
  data: string | undefined,
  folders: ReturnType<typeof environmentFolders>,
): { path: string; script: boolean } {
  if (data === undefined || !name.startsWith(`${data}/`)) return { path: `${folders.site}/${name}`, script: false }
  const [scheme = '', ...parts] = name.slice(data.length + 1).split('/')
  const rest = parts.join('/')
  if (rest === '') throw new WheelRefused(filename, name, `lies directly in ${data}, where only folders may be`)
  switch (scheme) {
    case 'purelib':
    case 'platlib':
      return { path: `${folders.site}/${rest}`, script: false }
    case 'scripts':
      return { path: `${folders.scripts}/${rest}`, script: true }
    case 'headers':
      return { path: `${folders.headers}/${distribution}/${rest}`, script: false }
    case 'data':
      // lib64 is a link to lib, and a layer that lists it as a folder would replace it.
      return { path: `${ENVIRONMENT}/${rest.replace(/^lib64\//, 'lib/')}`, script: false }
    default:
      throw new WheelRefused(filename, name, `is for the unknown place ${JSON.stringify(scheme)}`)
  }
}
