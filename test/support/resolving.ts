import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import type { Builder } from '../../service/builder/builder.ts'
import type { BaseImage } from '../../service/image/base.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import type { Probe } from '../../service/interpreter/probe.ts'
import { ResolutionFailed } from '../../service/interpreter/resolution.ts'
import { createGitDependencies } from '../../service/source/git-dependencies.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from './builder.ts'
import { codeFiles } from './code-files.ts'
import { codeTree } from './code-tree.ts'
import { type GitHost, serveGit } from './git-http.ts'

/** One domain for most tests of a file: its resolver stays warm. */
export const ASK = { ...STEP, domain: 'rep_test' }

/** A builder with a base of Python 3.11, for the tests of one file. */
export interface Resolving {
  parts: TestBuilder
  base: BaseImage
  probe: Probe
  /**
   * The lock of an environment file among some files.
   * @param lines is given what is reported
   */
  resolve(
    files: Record<string, string | Buffer>,
    request?: Partial<InterpreterRequest>,
    lines?: string[],
  ): Promise<Lock>
}

/**
 * Sets it up; it is taken down after the tests.
 * @param interpreter the environment file that is resolved, where a request names no other
 */
export async function resolving(interpreter = 'requirements.txt'): Promise<Resolving> {
  const parts = await testBuilder()
  after(() => parts[Symbol.asyncDispose]())
  const base = await testBase('3.11')
  const probe = await parts.builder.probe(base, STEP)
  const resolve: Resolving['resolve'] = async (files, request = {}, lines = []) => {
    const spec = await loadSpec(codeFiles(files), { interpreter, ...request })
    return await parts.builder.resolve(base, spec, probe, { ...ASK, report: (line) => void lines.push(line) })
  }
  return { parts, base, probe, resolve }
}

/** The same with a git host beside it, and files that are the code of a commit. */
export interface ResolvingSources extends Omit<Resolving, 'resolve'> {
  host: GitHost
  /** @param lines is given what is reported */
  resolve(
    files: Record<string, string | Buffer>,
    request?: Partial<InterpreterRequest>,
    lines?: string[],
    builder?: Builder,
  ): Promise<Lock>
}

/** Sets that up. The host's repositories lie in the folder `git` of the builder's. */
export async function resolvingSources(interpreter = 'requirements.txt'): Promise<ResolvingSources> {
  const { parts, base, probe } = await resolving()
  const host = await serveGit({ after }, join(parts.folder, 'git'))
  const folder = join(parts.folder, 'dependencies')
  const git = createGitDependencies({ blobs: parts.blobs, folder, gitUrl: host.url })
  const resolve: ResolvingSources['resolve'] = async (files, request = {}, lines = [], builder = parts.builder) => {
    const spec = await loadSpec(codeFiles(files), { interpreter, ...request })
    const options = { ...STEP, report: (line: string) => void lines.push(line), git, code: await codeTree(files) }
    return await builder.resolve(base, spec, probe, options)
  }
  return { parts, base, probe, host, resolve }
}

/** The refusal that resolving ends in, which says how to fix it. */
export async function refusal(asked: Promise<unknown>): Promise<ResolutionFailed> {
  const error = await asked.then(
    () => assert.fail('resolved'),
    (error) => error,
  )
  assert.ok(error instanceof ResolutionFailed, String(error?.stack))
  assert.notEqual(error.hint, '')
  return error
}

/** What a lock holds: `idna==3.7`, in order. */
export const pins = ({ artifacts }: Lock) => artifacts.map(({ name, version }) => `${name}==${version}`)
