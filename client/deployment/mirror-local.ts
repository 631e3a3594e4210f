import { realpath } from 'node:fs/promises'
import { posix, relative, sep } from 'node:path'
import type * as z from 'zod/mini'
import type { CodeRequest, InterpreterRequest } from '../../common/contract.ts'
import { indexOf } from '../../common/piece-index.ts'
import type { Service } from '../service.ts'
import { isLocal, type LocalEnvironment, localEnvironment } from './local-environment.ts'
import { localFiles } from './local-files.ts'
import { askInterpreter, type LocalInterpreter, type LocalPlace } from './local-interpreter.ts'
import { type LocalRoots, localRoots } from './local-roots.ts'
import type { LocalFile } from './local-walk.ts'
import { FileChanged, MirrorRefused } from './mirror-refused.ts'
import { namedPaths } from './named-paths.ts'
import { PieceCache } from './piece-cache.ts'
import { piecesOf } from './pieces.ts'
import { projectOf } from './project-of.ts'
import { type Sendable, sendBlobs } from './send-blobs.ts'

/** What is mirrored. */
export interface MirrorLocal {
  /** In whose name it runs. */
  repository: string
  /** `auto`, `local`, `local-conda:NAME`, `local-python:PATH`, or an environment file of the project. */
  interpreter: string
  /** The working directory. */
  folder: string
  /** See `RootsAsked`. */
  extraPaths?: readonly string[] | undefined
  /** Where it is wanted that the command runs, inside the working directory. */
  workingDirectory?: string | undefined
  /** Where another one than the local one is wanted. */
  pythonVersion?: string | undefined
}

export interface MirrorOptions {
  env: NodeJS.ProcessEnv
  /** Where it is kept what files were when they were read last; nowhere if not set. */
  cache?: string | undefined
  signal?: AbortSignal | undefined
  /** Called with what a user should know. */
  say: (line: string) => void
  /** The most bytes that are mirrored. */
  limit?: number
}

/** The part of a request that names mirrored code and its interpreter. */
export type MirroredRequest = z.input<typeof CodeRequest> &
  z.input<typeof InterpreterRequest> & { 'working-directory'?: string }

/** More than this is data that a .meadowignore should name. */
const MOST_BYTES = 4 * 2 ** 30
/** How often it begins anew when files change under its hands. */
const TRIES = 3

/**
 * Mirrors local code and says which environment goes with it: sends the service what it lacks, and nothing that it has.
 * @returns the part of a request that names both
 * @throws {MirrorRefused} and other typed errors for what can't be mirrored; nothing was sent then
 */
export async function prepareMirrorLocal(
  service: Service,
  { repository, interpreter, folder, extraPaths = [], workingDirectory = '', pythonVersion }: MirrorLocal,
  options: MirrorOptions,
): Promise<MirroredRequest> {
  const { env, say, signal } = options
  const here = await realpath(folder)
  const project = projectOf(here)
  const place = { folder: here, project, env }
  const python = isLocal(interpreter)
    ? await askInterpreter(interpreter, place, say, signal)
    : await askIfThere(place, options)
  const environment = await localEnvironment(interpreter, project, python)
  say(`Environment: ${environment.why}.`)
  for (const note of environment.notes) say(note)
  if (python === undefined) say('No Python was asked here: of sys.path, only the working directory is mirrored.')
  const { wanted, local } = environment
  const inside = posix.join(relative(project, here).replaceAll(sep, '/'), workingDirectory)
  const named = namedPaths(project, wanted, inside)
  const roots = localRoots(
    { project, sysPath: python?.sysPath ?? [{ path: here, behind: false }], wanted, named, local, extraPaths },
    say,
  )
  const mirror = await sendRoots(service, repository, roots, environment, options)
  const version = pythonVersion ?? environment.pythonVersion
  const files = environment.files.map(({ path, digest }) => [path, digest])
  return {
    deployment: 'mirror_local',
    repository,
    mirror: { roots: mirror, 'sys-path': roots.sysPath },
    interpreter: environment.interpreter,
    ...(version && { 'python-version': version }),
    ...(files.length > 0 && { 'environment-files': Object.fromEntries(files) }),
    ...(inside !== '.' && { 'working-directory': inside }),
  }
}

/** Where the environment is another's, a Python that can't be asked is as good as none. */
async function askIfThere(place: LocalPlace, { say, signal }: MirrorOptions): Promise<LocalInterpreter | undefined> {
  try {
    return await askInterpreter('local', place, say, signal)
  } catch (error) {
    if (!(error instanceof MirrorRefused)) throw error
    say(`${error.message}.`)
    return undefined
  }
}

/** Sends what the service lacks, and begins anew where files change meanwhile. Gives the indexes of the roots. */
async function sendRoots(
  service: Service,
  repository: string,
  roots: LocalRoots,
  { files }: LocalEnvironment,
  options: MirrorOptions,
): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { indexes, sendable } = await readRoots(roots, options)
      for (const { digest, content } of files) sendable.set(digest, async () => content)
      const mirror = { roots: indexes, 'sys-path': roots.sysPath }
      const blobs = files.map(({ digest }) => digest)
      await sendMissing(service, { deployment: 'mirror_local', repository, mirror, blobs }, sendable, options)
      return indexes
    } catch (error) {
      if (!(error instanceof FileChanged)) throw error
      if (attempt === TRIES) {
        throw new MirrorRefused(error.message, 'Wait until it is written, or leave it out by a .meadowignore file.')
      }
      options.say(`${error.message}; it begins anew.`)
    }
  }
}

interface ReadRoots {
  indexes: string[]
  sendable: Map<string, () => Promise<Uint8Array>>
}

async function readRoots(
  { roots }: LocalRoots,
  { cache, signal, say, limit = MOST_BYTES }: MirrorOptions,
): Promise<ReadRoots> {
  const found = roots.map((root) => ({ root, files: localFiles(root, say) }))
  checkSize(found, limit)
  const sendable = new Map<string, () => Promise<Uint8Array>>()
  const indexes: string[] = []
  for (const [n, { root, files }] of found.entries()) {
    const kept = await PieceCache.open(cache, `${root.onlyWanted ? 'partly ' : ''}${root.folder}`)
    const pieces = await piecesOf(root.folder, files, kept, signal)
    await kept.save().catch((error: unknown) => say(`What files were could not be kept for the next time: ${error}`))
    const { index, lists } = indexOf(pieces.map(({ digest }) => digest))
    for (const { digest, read } of pieces) sendable.set(digest, read)
    for (const { digest, bytes } of [index, ...lists]) sendable.set(digest, async () => bytes)
    indexes.push(index.digest)
    const size = files.reduce((sum, each) => sum + each.size, 0)
    say(`${root.folder}${n > 0 ? `, at /workspace.${n}` : ''}: ${files.length} files, ${inMB(size)}.`)
  }
  return { indexes, sendable }
}

function checkSize(found: { root: { folder: string }; files: LocalFile[] }[], limit: number): void {
  const all = found.flatMap(({ root, files }) =>
    files.map(({ path, size }) => ({ path: `${root.folder}/${path}`, size })),
  )
  const total = all.reduce((sum, { size }) => sum + size, 0)
  if (total <= limit) return
  const biggest = all
    .sort((a, b) => b.size - a.size)
    .slice(0, 10)
    .map(({ path, size }) => `  ${inMB(size)}  ${path}`)
  throw new MirrorRefused(
    `the code has ${inMB(total)}, and ${inMB(limit)} is the most that is mirrored. The biggest files:\n${biggest.join('\n')}`,
    'Name what is not needed in a .meadowignore file; it is written like a .gitignore.',
  )
}

/** Asks what is missing and sends it, until nothing is: the indexes of new roots first, then what they name. */
async function sendMissing(
  service: Service,
  request: Parameters<Service['missing']>[0],
  sendable: Sendable,
  { signal, say }: MirrorOptions,
): Promise<void> {
  const sent = new Set<string>()
  let bytes = 0
  for (;;) {
    const { blobs } = await service.missing(request, signal)
    if (blobs.length === 0) break
    const again = blobs.find((digest) => sent.has(digest))
    if (again !== undefined) throw new Error(`the service took ${again} and says that it lacks it`)
    bytes += await sendBlobs(service, blobs, sendable, signal)
    for (const digest of blobs) sent.add(digest)
  }
  say(sent.size === 0 ? 'Nothing to upload: the service has all of it.' : `Sent ${sent.size} pieces (${inMB(bytes)}).`)
}

function inMB(bytes: number): string {
  return bytes < 100_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
