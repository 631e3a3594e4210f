import { createHash } from 'node:crypto'
import { parse } from 'smol-toml'
import { keyOf } from '../../image/keys.ts'
import type { Artifact, Lock } from '../../interpreter/lock.ts'
import { importablePlaces, projectFiles } from '../../interpreter/project-files.ts'
import type { CodeTree } from '../../source/bundle-tree.ts'
import { LocalSourceFailed } from './local-source-failed.ts'

/** The code of the commit that a lock is used for. */
export interface ProjectCode {
  /** 40 hex digits; absent for code that is of no commit. */
  commit?: string | undefined
  tree: CodeTree
}

/**
 * A lock as it is for one commit: what it takes from the code tree gets the hash that it has there, what it takes from
 * git that of its commit. An editable project is hashed by what describes it, so that a commit that changes only code
 * has the same lock.
 * @throws {LocalSourceFailed} for a path that is not there, or whose hash is not the lock's
 */
export async function pinSources(lock: Lock, code: ProjectCode | undefined): Promise<Lock> {
  const isLoose = ({ kind, path }: Artifact) => kind === 'vcs' || path !== undefined
  if (!lock.artifacts.some(isLoose)) return lock
  const artifacts = await Promise.all(
    lock.artifacts.map((artifact) => (isLoose(artifact) ? pinned(artifact, code) : artifact)),
  )
  const pins = artifacts.filter(isLoose).map(({ name, version, sha256, editable }) => [name, version, sha256, editable])
  const digest = createHash('sha256').update(lock.text).update(JSON.stringify(pins)).digest('hex')
  return { ...lock, artifacts, digest: `sha256:${digest}` }
}

async function pinned(artifact: Artifact, code: ProjectCode | undefined): Promise<Artifact> {
  const { name, kind, path, commit = '', subdirectory = '' } = artifact
  if (kind === 'vcs') {
    const version = artifact.version === '0' ? `g${commit.slice(0, 12)}` : artifact.version
    return { ...artifact, version, sha256: keyOf('vcs with submodules', commit, subdirectory) }
  }
  if (path === undefined) return artifact
  if (code === undefined) throw new LocalSourceFailed(name, `${path} is in the code, and there is none`, 'Report this.')
  return kind === 'directory' ? await directory(artifact, path, code.tree) : await file(artifact, path, code.tree)
}

/** Its hash is that of what goes into its wheel: for an editable one, what describes it and where it and its modules lie. */
async function directory(artifact: Artifact, path: string, tree: CodeTree): Promise<Artifact> {
  const { name, editable, subdirectory = '' } = artifact
  const project = projectFolder(artifact)
  const files = await projectFiles(tree, project)
  if (files.length === 0) {
    const message = `${path || 'the root of the repository'} holds no project: neither pyproject.toml nor setup.py`
    throw new LocalSourceFailed(name, message, 'Correct the path, or commit the project there.')
  }
  const version = artifact.version === '0' ? await staticVersion(tree, project) : artifact.version
  if (!editable) return { ...artifact, version, sha256: keyOf('directory', await tree.hashFolder(path), subdirectory) }
  const contents = await Promise.all(files.map(async (each) => [each, sha256Of((await tree.read(each)) ?? '')]))
  const places = importablePlaces(await tree.paths(), project)
  return { ...artifact, version, sha256: keyOf('editable', project, contents, places) }
}

async function file(artifact: Artifact, path: string, tree: CodeTree): Promise<Artifact> {
  const content = await tree.open(path)
  if (content === undefined) {
    const fix = 'Commit it, or correct the path.'
    throw new LocalSourceFailed(artifact.name, `there is no ${path} in the repository`, fix)
  }
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of content as AsyncIterable<Buffer>) {
    hash.update(chunk)
    size += chunk.length
  }
  const sha256 = hash.digest('hex')
  if (artifact.sha256 !== undefined && artifact.sha256 !== sha256) {
    const fix = 'The file was changed after the lock was made: lock it anew if you know why.'
    throw new LocalSourceFailed(artifact.name, `${path} has sha256 ${sha256}, not ${artifact.sha256}`, fix)
  }
  return { ...artifact, sha256, size }
}

/** The folder of the code tree that a directory's project lies in. */
export function projectFolder({ path = '', subdirectory }: Artifact): string {
  return [path, subdirectory ?? ''].filter((part) => part !== '').join('/')
}

/** The version that a project states, for people; its build says it for good. */
async function staticVersion(tree: CodeTree, project: string): Promise<string> {
  const text = await tree.read(project === '' ? 'pyproject.toml' : `${project}/pyproject.toml`)
  if (text === undefined) return 'local'
  try {
    const { project, tool } = parse(text.toString()) as Record<string, Record<string, { version?: unknown }>>
    const stated = project?.version ?? tool?.poetry?.version
    return typeof stated === 'string' ? stated : 'local'
  } catch {
    // What is wrong with it is said by the build, which reads all of it.
    return 'local'
  }
}

function sha256Of(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex')
}
