import { posix } from 'node:path'
import { BuildFailed, type BuildSource } from '../../builder/builder.ts'
import { LimitReached } from '../../builder/context.ts'
import { builtVersion } from '../../builder/pretended-version.ts'
import { buildSystem } from '../../interpreter/build-system.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import { GitDependencyFailed } from '../../source/git-dependencies.ts'
import { download } from '../environment/download.ts'
import { projectFolder } from '../environment/pin-sources.ts'
import type { MakeOrder, MakeParts } from './make-order.ts'
import { OfPackage } from './package-failed.ts'
import { workFile } from './work-file.ts'

/** A wheel on this machine for as long as it is in use. */
export interface LocalWheel extends AsyncDisposable {
  /** Its path. */
  file: string
  filename: string
  /** Bytes that were fetched for it. */
  transferred: number
}

/** The wheel of an artifact: fetched, taken from the code tree, or built from what the artifact is. */
export async function wheelOf(parts: MakeParts, order: MakeOrder, artifact: Artifact): Promise<LocalWheel> {
  if (artifact.kind === 'vcs' || artifact.kind === 'directory') {
    return await built(parts, order, artifact, await treeOf(parts, order, artifact), 0)
  }
  const bytes = await bytesOf(parts, order, artifact)
  if (artifact.filename.endsWith('.whl')) return { ...bytes, filename: artifact.filename }
  await using archive = bytes
  return await built(parts, order, artifact, { file: archive.file }, archive.transferred)
}

async function bytesOf(
  parts: MakeParts,
  { local, code, fetched, signal }: MakeOrder,
  artifact: Artifact,
): Promise<Omit<LocalWheel, 'filename'>> {
  const here = local?.get(artifact.filename)
  if (here?.sha256 === artifact.sha256 && here !== undefined) {
    return { file: here.file, transferred: here.size, [Symbol.asyncDispose]: async () => {} }
  }
  if (artifact.path === undefined) {
    const { file, size, [Symbol.asyncDispose]: remove } = await download(parts.fetcher, artifact, { fetched, signal })
    return { file, transferred: size, [Symbol.asyncDispose]: remove }
  }
  // Its hash was taken from this very tree.
  const content = await code?.tree.open(artifact.path)
  if (content === undefined) throw new Error(`${artifact.name}: ${artifact.path} is not in the code any more`)
  const { file, [Symbol.asyncDispose]: remove } = await workFile(parts.folder, content)
  return { file, transferred: 0, [Symbol.asyncDispose]: remove }
}

/** What a project is built from: an editable one sees all of the code, as in a run; another just its own folder. */
async function treeOf(
  { gitDependencies }: MakeParts,
  { code, signal }: MakeOrder,
  artifact: Artifact,
): Promise<BuildSource> {
  const { kind, url = '', commit = '', path = '', editable } = artifact
  if (kind === 'vcs') {
    const tree = await gitDependencies.tree(url, commit, signal).catch((error: unknown) => {
      throw error instanceof GitDependencyFailed ? new OfPackage(artifact.name, error) : error
    })
    return { tree: await tree.tar(''), ...pretended(artifact, commit) }
  }
  if (code === undefined) throw new Error(`${artifact.name}: ${path} lies in code that is not there`)
  if (!editable) return { tree: await code.tree.tar(path), ...pretended(artifact, code.commit) }
  const file = posix.join(projectFolder(artifact), 'pyproject.toml')
  const system = buildSystem((await code.tree.read(file))?.toString(), file)
  return { tree: await code.tree.tar(''), system, ...pretended(artifact, code.commit) }
}

/** The version for backends that would ask git for it: there is no git in a build. */
function pretended({ version, kind }: Artifact, commit: string | undefined): { version: string } {
  if (kind === 'vcs' && /^\d+(\.\d+)*([a-z.+]\S*)?$/.test(version)) return { version }
  return { version: builtVersion(commit) }
}

async function built(
  { builder, folder }: MakeParts,
  order: MakeOrder,
  artifact: Artifact,
  source: BuildSource,
  transferred: number,
): Promise<LocalWheel> {
  order.report(`building a wheel of ${artifact.filename}`)
  const base = (await order.compiler?.image()) ?? order.base
  const wheel = await builder.buildWheel(base, order.probe, { artifact, source }, order).catch((error: unknown) => {
    throw error instanceof LimitReached ? new OfPackage(artifact.name, error) : withMarker(error, artifact)
  })
  const { file, [Symbol.asyncDispose]: remove } = await workFile(folder, wheel.bytes)
  return { file, filename: wheel.filename, transferred, [Symbol.asyncDispose]: remove }
}

/** A source of which there are wheels for other systems only was hardly meant to be built here. */
function withMarker(error: unknown, { name, version, otherSystems }: Artifact): unknown {
  if (!(error instanceof BuildFailed) || otherSystems === undefined) return error
  const { names, marker } = otherSystems
  const hint = `It has wheels for ${names} only. A marker excludes it here: ${name}==${version} ; ${marker}`
  return new BuildFailed(name, error.message, hint)
}
