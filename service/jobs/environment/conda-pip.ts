import { createHash } from 'node:crypto'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Builder, ResolveOptions } from '../../builder/builder.ts'
import type { BaseImage } from '../../image/base.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import { condaPipSpec } from '../../interpreter/formats/conda-environment.ts'
import type { Artifact, Lock } from '../../interpreter/lock.ts'
import type { InstalledPackage, Probe } from '../../interpreter/probe.ts'
import { ResolutionFailed } from '../../interpreter/resolution.ts'
import type { InterpreterSpec } from '../../interpreter/spec.ts'

/** What pip must know of a conda environment before it installs on top. */
export interface CondaGround {
  /** Python packages that are there. */
  provided: InstalledPackage[]
  /** An image whose Python is the environment's: metadata of packages is built there, where it must be. */
  base: BaseImage
}

const PIP_FILE = '.pip.txt'
const METADATA = /\/site-packages\/([\w.]+)-([^-/]+?)(?:-py3[^/]*)?\.(?:dist-info\/METADATA|egg-info(?:\/PKG-INFO)?)$/

/** The Python packages that files of conda packages say of themselves to be. */
export function pythonPackages(artifacts: Pick<PlannedArtifact, 'files'>[]): InstalledPackage[] {
  const found = artifacts.flatMap(({ files }) =>
    files.entries.flatMap(({ path }): [string, string][] => {
      const [, name, version] = METADATA.exec(path) ?? []
      return name && version ? [[normalizeName(name), version]] : []
    }),
  )
  // What they need is for conda to see to.
  return [...new Map(found)].map(([name, version]) => ({ name, version, requires: [] }))
}

/**
 * A lock of conda packages with what its `pip:` section installs on top, resolved for the environment's own Python.
 * Packages that conda brings are neither installed again nor replaced.
 * @throws {ResolutionFailed} in terms of the environment.yml
 */
export async function withPip(
  builder: Builder,
  { lock, spec, probe }: { lock: Lock; spec: InterpreterSpec; probe: Probe },
  { provided, base }: CondaGround,
  options: ResolveOptions,
): Promise<Lock> {
  const pip = condaPipSpec(spec)
  const resolved = await builder
    .resolve(base, pip, probe, { ...options, installed: provided })
    .catch((error: unknown) => {
      throw inTermsOf(lock.source, error)
    })
  const taken = new Set(lock.artifacts.map(({ name }) => name))
  const added = resolved.artifacts
    .filter(({ name }) => !provided.some((each) => each.name === name))
    // Two packages may have one name, of which only one is of Python: conda's ninja is a program.
    .map((artifact): Artifact => (taken.has(artifact.name) ? { ...artifact, name: `${artifact.name}.pip` } : artifact))
  const text = `${lock.text}# pip:\n${resolved.text}`
  return {
    ...lock,
    text,
    digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
    artifacts: [...lock.artifacts, ...added].sort((a, b) => (a.name < b.name ? -1 : 1)),
    requirements: [
      ...lock.requirements,
      ...resolved.requirements
        .filter(({ constraint }) => !constraint)
        .map((row) => ({ ...row, file: row.file.replace(PIP_FILE, '') })),
    ],
    unpinned: [...new Set([...lock.unpinned, ...resolved.unpinned])].sort(),
  }
}

function inTermsOf(file: string, error: unknown): unknown {
  if (!(error instanceof ResolutionFailed) && !(error instanceof EnvironmentFileError)) return error
  if (!error.file.startsWith(file)) return error
  const said = error.message.replace(/^\S+?:(?:\d+:)? /, '').replaceAll(PIP_FILE, '')
  const line = error.file.endsWith(PIP_FILE) ? error.line : undefined
  const hint = `${error.hint} What conda brings stays: name it among the dependencies in the version that pip asks for.`
  return new ResolutionFailed(file, line, `pip: ${said}`, hint)
}
