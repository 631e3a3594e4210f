import { createReadStream } from 'node:fs'
import * as z from 'zod/mini'
import type { CondaFile } from '../image/conda-fragment.ts'
import type { Artifact } from '../interpreter/lock.ts'
import type { CondaRequest, Resolved } from '../interpreter/resolution.ts'
import type { CondaSession } from './conda-session.ts'
import { type SolveParts, solve } from './conda-solve.ts'
import type { BuilderContext } from './context.ts'
import { BrokenFrames, type Frames } from './frames.ts'
import { ask, type KeepOptions, KeptSteps, openKept } from './kept-steps.ts'
import type { Report, ResolveOptions, StepOptions } from './options.ts'
import { pythonSource } from './python-source.ts'
import { BUILDER_ENV } from './resolver-pool.ts'
import type { StepSpec } from './step-spec.ts'

const SPEC: Omit<StepSpec, 'image'> = {
  name: 'conda',
  command: [`${BUILDER_ENV}/bin/python3`, '-I', '-c', pythonSource('conda')],
  user: '0:0',
  network: 'none',
  watchDisk: true,
}

/** A conda package to be linked. */
export interface LinkRequest {
  artifact: Artifact
  /** Its verified archive on this machine. */
  file: string
  /** Bytes of it. */
  size: number
  /** The Python of its environment: noarch packages go where that has its packages. */
  python: Artifact
  /** `linux-64` */
  subdir: string
}

/** A package that can't be linked. */
export class LinkFailed extends Error {
  override name = 'LinkFailed'
  readonly package: string
  readonly hint = 'The package is damaged or of an unknown format: use another build or version of it.'
  constructor({ name, filename }: Artifact, why: string) {
    super(`${filename} can't be linked: ${why}`)
    this.package = name
  }
}

const Row = z.tuple([z.string(), z.int(), z.int(), z.nullable(z.string()), z.int().check(z.minimum(0))])
const Linked = z.union([
  z.object({ failed: z.string() }),
  z.object({ files: z.array(Row), name: z.string(), version: z.string() }),
])

/** rattler in containers of an image of its own, without network: it gets all that it reads from here. */
export class CondaTool {
  readonly #steps: KeptSteps<CondaSession>
  readonly #offers: Omit<SolveParts, 'steps'>

  /** @param image gives the reference of the image with rattler, made where it is missing */
  constructor(
    context: BuilderContext,
    image: (report: Report) => Promise<string>,
    offers: Omit<SolveParts, 'steps'>,
    options: KeepOptions,
  ) {
    this.#offers = offers
    const open = async (step: StepOptions) => {
      return { ...(await openKept(context, image, SPEC, step)), channels: new Map(), sent: new Map() }
    }
    this.#steps = new KeptSteps(open, options)
  }

  /** @throws {ResolverRefused} */
  async solve(request: CondaRequest, options: ResolveOptions): Promise<Resolved> {
    return await solve({ ...this.#offers, steps: this.#steps }, request, options)
  }

  /**
   * Links one package by itself.
   * @param take reads all of the package's files, in the order of their paths
   * @throws {LinkFailed}
   */
  async link<T>(
    { artifact, file, size, python, subdir }: LinkRequest,
    options: ResolveOptions,
    take: (files: CondaFile[]) => Promise<T>,
  ): Promise<T> {
    const { url = '', filename, conda } = artifact
    const request = {
      ...{ link: filename, url, channel: conda?.channel ?? '', subdir, size },
      python: { version: python.version, build: python.conda?.build, sitePackages: python.conda?.sitePackages },
    }
    const linked = await this.#steps.use(options, async (kept) => {
      const answer = z.safeParse(Linked, await ask(kept, request, createReadStream(file)))
      if (!answer.success) throw new BrokenFrames('what it says of a linked package is not credible')
      if ('failed' in answer.data) return new LinkFailed(artifact, answer.data.failed)
      const { files, name } = answer.data
      if (name !== artifact.name) return new LinkFailed(artifact, `it says of itself that it is ${name}`)
      return { value: await take(filesOf(kept.frames, files)) }
    })
    if (linked instanceof LinkFailed) throw linked
    return linked.value
  }

  /** Removes the containers that are kept ready. */
  async close(): Promise<void> {
    await this.#steps.close()
  }
}

function filesOf(frames: Frames, rows: z.infer<typeof Row>[]): CondaFile[] {
  return rows.map(([path, mode, mtime, link, size]) => {
    return { path, mode, mtime, size, content: () => frames.pieces(size), ...(link !== null && { link }) }
  })
}
