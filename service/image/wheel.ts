import { hash } from 'node:crypto'
import { crc32, deflateRawSync } from 'node:zlib'
import { type FragmentFile, type FragmentManifest, FragmentWriter } from './fragment-writer.ts'
import type { RecordRow } from './record.ts'
import { EntryPointRefused, hasPlaceholder, launcher, parseEntryPoints, withInterpreter } from './scripts.ts'
import {
  checkPlace,
  environmentFolders,
  isExecutable,
  layOutWheel,
  type PlacedFile,
  type WheelLayout,
} from './wheel-layout.ts'
import { parseWheelName } from './wheel-name.ts'
import { generatedRow, installedRecord, WheelRecord } from './wheel-record.ts'
import { WheelRefused } from './wheel-refused.ts'
import { readDirectory, type ZipEntry } from './zip-directory.ts'
import { deflated, peek, readContent } from './zip-entry.ts'
import { ZipFile } from './zip-file.ts'
import { ZipRefused } from './zip-refused.ts'

/** Which wheel is to be installed for which Python. */
export interface WheelSource {
  /** Its path on this machine. */
  file: string
  /** Its own name, which says what it is. */
  filename: string
  /** `3.11` */
  python: string
}

/** What a wheel turned out to be. */
export interface InstalledWheel extends FragmentManifest {
  /** Normalised (PEP 503). */
  name: string
  version: string
}

/** No WHEEL, RECORD or entry_points.txt, nor all scripts whose shebang is rewritten, come near this many bytes. */
const MOST_TEXT = 32 * 2 ** 20
/** Recorded as the tool that installed it. */
const INSTALLER = Buffer.from('meadow\n')

/**
 * The gzip members of a wheel as it is installed in /opt/env, in the order of their paths. Files that are installed as
 * they are keep their compressed bytes. Reads the file by calls that block: use a `TranscodePool`.
 * @returns what the members are, once all of them were yielded and found right
 * @throws {WheelRefused} at any point, even after the last piece
 */
export async function* installWheel(source: WheelSource): AsyncGenerator<Buffer, InstalledWheel, undefined> {
  const file = new ZipFile(source.file)
  try {
    const { name, version } = parseWheelName(source.filename)
    const writer = new FragmentWriter()
    const items = await contentsOf(file, source)
    yield* writer.begin(items.map(({ path }) => path))
    for (const item of items) yield* writer.file(item)
    return { name, version, ...(yield* writer.end()) }
  } catch (error) {
    if (error instanceof ZipRefused) throw new WheelRefused(source.filename, error.entry, error.reason)
    throw error
  } finally {
    file.close()
  }
}

/** Everything that the wheel installs, in order. Contents are read when they are asked for. */
async function contentsOf(file: ZipFile, { filename, python }: WheelSource): Promise<FragmentFile[]> {
  const name = parseWheelName(filename)
  const layout = layOutWheel(filename, name, readDirectory(file), python)
  const recordEntry = required(filename, layout, 'RECORD')
  required(filename, layout, 'METADATA')
  checkWheelVersion(filename, await readText(file, filename, required(filename, layout, 'WHEEL')))
  const record = new WheelRecord(filename, layout, recordEntry, await readText(file, filename, recordEntry))

  const { site, scripts } = environmentFolders(python)
  const generated = await generatedFiles(file, filename, layout, scripts)
  checkPaths(filename, layout, generated.keys())
  const recordPath = `${layout.distInfo}/RECORD`
  const copied = layout.files.filter(({ path }) => !generated.has(path) && path !== recordPath)
  const rows: RecordRow[] = copied.map(({ entry, path }) => record.installedRow(entry, path))
  for (const [path, { content }] of generated) rows.push(generatedRow(path, content))
  generated.set(recordPath, { content: installedRecord(site, recordPath, rows), mode: 0o644 })

  const items = [
    ...copied.map((placed) => copiedFile(file, placed, record)),
    ...[...generated].map(([path, { content, mode }]) => generatedFile(path, content, mode)),
  ]
  await verifyReplaced(file, layout, generated, record)
  return items.sort((a, b) => (a.path < b.path ? -1 : 1))
}

interface Generated {
  content: Buffer
  mode: number
}

/** What is not installed as the wheel has it, but RECORD: rewritten scripts, launchers and INSTALLER. */
async function generatedFiles(
  file: ZipFile,
  filename: string,
  layout: WheelLayout,
  scripts: string,
): Promise<Map<string, Generated>> {
  const generated = new Map<string, Generated>()
  let left = MOST_TEXT
  for (const { entry, path, script } of layout.files) {
    if (!script || !hasPlaceholder(peek(file, entry))) continue
    generated.set(path, { content: withInterpreter(await readContent(file, entry, left)), mode: 0o755 })
    left -= entry.size
  }
  const entryPoints = layout.described.get('entry_points.txt')
  if (entryPoints !== undefined) {
    for (const command of commandsOf(filename, entryPoints, await readText(file, filename, entryPoints))) {
      const path = `${scripts}/${command.name}`
      checkPlace(filename, entryPoints.name, path, layout.distInfo)
      // Takes the place of a script of that name, as with pip: older tools put ready launchers into wheels.
      generated.set(path, { content: launcher(command), mode: 0o755 })
    }
  }
  return generated.set(`${layout.distInfo}/INSTALLER`, { content: INSTALLER, mode: 0o644 })
}

function commandsOf(filename: string, entry: ZipEntry, text: string) {
  try {
    return parseEntryPoints(text)
  } catch (error) {
    if (error instanceof EntryPointRefused) throw new WheelRefused(filename, entry.name, error.message)
    throw error
  }
}

/** What is replaced must be right too: a wheel is intact or it is not. */
async function verifyReplaced(
  file: ZipFile,
  layout: WheelLayout,
  generated: Map<string, Generated>,
  record: WheelRecord,
): Promise<void> {
  for (const { entry, path } of layout.files) {
    if (!generated.has(path) || path === `${layout.distInfo}/RECORD`) continue
    const { add, end } = record.verifier(entry.name)
    for await (const _ of deflated(file, entry, add));
    end()
  }
}

function copiedFile(file: ZipFile, { entry, path, script }: PlacedFile, record: WheelRecord): FragmentFile {
  const { add, end } = record.verifier(entry.name)
  return {
    path,
    mode: script || isExecutable(entry) ? 0o755 : 0o644,
    size: entry.size,
    deflated: (onContent) =>
      deflated(file, entry, (bytes) => {
        add(bytes)
        onContent(bytes)
      }),
    sums: () => ({ crc: entry.crc, sha256: end() }),
  }
}

function generatedFile(path: string, content: Buffer, mode: number): FragmentFile {
  const sums = () => ({ crc: crc32(content), sha256: hash('sha256', content, 'hex') })
  const deflated = (onContent: (bytes: Buffer) => void) => {
    onContent(content)
    return [deflateRawSync(content)]
  }
  return { path, mode, size: content.length, deflated, sums }
}

/** No two files of the wheel at one path, and none where others need a folder. */
function checkPaths(filename: string, { files }: WheelLayout, generated: Iterable<string>): void {
  const paths = new Set<string>()
  for (const { entry, path } of files) {
    if (paths.has(path)) throw new WheelRefused(filename, entry.name, `is the second file for /${path}`)
    paths.add(path)
  }
  for (const path of generated) paths.add(path)
  for (const path of paths) {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const folder = path.slice(0, slash)
      if (paths.has(folder)) throw new WheelRefused(filename, undefined, `has /${folder} as a file and as a folder`)
    }
  }
}

/** Major version 1 is what this is written for; higher minor ones must be readable by it. */
function checkWheelVersion(filename: string, text: string): void {
  const version = /^Wheel-Version:\s*(\S+)\s*$/im.exec(text)?.[1]
  if (version !== undefined && /^1\.\d+$/.test(version)) return
  const reason = version ? `has the Wheel-Version ${version}; 1 is known` : 'does not say its Wheel-Version'
  throw new WheelRefused(filename, 'WHEEL', reason)
}

function required(filename: string, { described, distInfo }: WheelLayout, name: string): ZipEntry {
  const entry = described.get(name)
  if (entry === undefined) throw new WheelRefused(filename, undefined, `has no ${name} in /${distInfo}`)
  return entry
}

async function readText(file: ZipFile, filename: string, entry: ZipEntry): Promise<string> {
  const content = await readContent(file, entry, MOST_TEXT)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    throw new WheelRefused(filename, entry.name, 'is not UTF-8')
  }
}
