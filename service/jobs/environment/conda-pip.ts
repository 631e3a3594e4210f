import { createHash } from 'node:crypto'
import { normalizeName } from '../../../common/package-name.ts'
import type { Builder, ResolveOptions } from '../../builder/builder.ts'
import type { BaseImage } from '../../image/base.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import { condaPip, inYaml, namedSources, yamlPlace } from '../../interpreter/formats/conda-pip.ts'
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
  /** Removes that image, where nothing comes of the lock. */
  abandon: () => Promise<void>
}

const METADATA = /\/site-packages\/([\w.]+)-([^-/]+?)(?:-py3[^/]*)?\.(?:dist-info\/METADATA|egg-info(?:\/PKG-INFO)?)$/

const CONDA_STAYS = 'What conda brings stays: name it among the dependencies in the version that pip asks for.'

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
  const pip = condaPip.spec(spec)
  checkReplaced(pip, provided)
  const resolved = await builder
    .resolve(base, pip, probe, { ...options, installed: provided })
    .catch((error: unknown) => {
      throw explained(error, pip, provided)
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
        .map((row) => ({ ...row, ...yamlPlace(row, pip.files) })),
    ],
    unpinned: [...new Set([...lock.unpinned, ...resolved.unpinned])].sort(),
  }
}

/**
 * A release that conda brings as well is taken from conda. A project or a file that somebody names is not: to leave it
 * out would run other code than what was asked for.
 */
function checkReplaced(pip: InterpreterSpec, provided: InstalledPackage[]): void {
  for (const { name, text, file, line } of namedSources(pip)) {
    const there = provided.find((each) => each.name === name)
    if (there === undefined) continue
    throw inYaml(
      new ResolutionFailed(
        file,
        line,
        `${text} is ${name}, which conda brings already (${there.version}), and pip does not replace that`,
        `Take ${name}, or what asks for it, out of the dependencies of conda; or take this line out.`,
      ),
      pip.files,
    )
  }
}

/** A refusal in terms of the environment.yml; with what conda has to do with it, where it names a package of conda. */
function explained(error: unknown, { files }: InterpreterSpec, provided: InstalledPackage[]): unknown {
  const message = error instanceof ResolutionFailed ? error.message.toLowerCase() : ''
  const words = new Set(message.match(/[a-z0-9][\w.-]*/g)?.map(normalizeName))
  const isConda = provided.some(({ name }) => words.has(name))
  return inYaml(error, files, isConda ? CONDA_STAYS : undefined)
}
