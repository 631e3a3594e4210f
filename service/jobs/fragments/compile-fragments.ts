import { PassThrough } from 'node:stream'
import type { Compiling } from '../../builder/builder.ts'
import { bytecodeFragment } from '../../image/bytecode.ts'
import type { StoredFragment } from '../../image/fragment.ts'
import { bytecodeKey } from '../../image/fragment-keys.ts'
import { isCompiled } from '../../image/pycache.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import { GLOBAL } from '../../policy/domain.ts'
import { findFragment, storeFragment } from './fragment-store.ts'
import { identityOf, isGlobal, type Made, type MakeOrder, type MakeParts } from './make-order.ts'

interface Wanted extends PromiseWithResolvers<StoredFragment> {
  artifact: Artifact
}

/** Byte code of artifacts as their files come in; one container of the base compiles all that is not known. */
export class Compiler {
  readonly #parts: MakeParts
  readonly #order: MakeOrder
  readonly #made: Made
  readonly #compiling: Compiling
  readonly #requests = new PassThrough({ objectMode: true })
  readonly #looks: Promise<unknown>[] = []
  readonly #wanted = new Map<string, Wanted>()
  #running: Promise<void> | undefined
  #abandoned: { error: unknown } | undefined

  /** @param made is told what was known and what was not */
  constructor(parts: MakeParts, order: MakeOrder, made: Made) {
    this.#parts = parts
    this.#order = order
    const { compileBase } = order
    this.#compiling = order.compiler ?? { id: compileBase.digest, image: async () => compileBase }
    this.#made = made
  }

  /** An artifact's byte code; undefined where it has no Python source. Whoever asks for many calls `finish` then. */
  byteCodeOf(artifact: Artifact, files: StoredFragment): Promise<StoredFragment | undefined> {
    if (!needsByteCode(artifact, files)) return Promise.resolve(undefined)
    const { probe, domain } = this.#order
    const key = bytecodeKey(identityOf(artifact, this.#order), probe.cacheTag, this.#compiling.id)
    const look = findFragment(this.#parts, domain, key).then((known) => {
      if (this.#abandoned) throw this.#abandoned.error
      if (known === undefined) return { compiled: this.#compiled(key, artifact, files) }
      this.#made.bytesReused += known.size
      return { compiled: Promise.resolve(known) }
    })
    this.#looks.push(told(look))
    return look.then(({ compiled }) => compiled)
  }

  /** Nothing more will be asked for. Resolves when all is compiled. */
  async finish(): Promise<void> {
    await Promise.all(this.#looks)
    this.#requests.end()
    await this.#running
  }

  /** Lets the container end where something went wrong, here or elsewhere. */
  abandon(error: unknown): void {
    this.#abandoned = { error }
    this.#requests.destroy()
    for (const wanted of this.#wanted.values()) wanted.reject(error)
  }

  #compiled(key: string, artifact: Artifact, files: StoredFragment): Promise<StoredFragment> {
    const wanted = { artifact, ...Promise.withResolvers<StoredFragment>() }
    this.#wanted.set(key, wanted)
    this.#made.fresh.add(artifact.name)
    this.#requests.write({ key, files })
    this.#running ??= told(this.#compile())
    return wanted.promise
  }

  async #compile(): Promise<void> {
    const { domain, operatorBase, report, compiler, signal } = this.#order
    const order = { domain, signal, report }
    await this.#parts.builder.compile(this.#compiling, this.#requests, order, async ({ key, files, skipped }) => {
      const wanted = this.#wanted.get(key)
      if (wanted === undefined) throw new Error(`byte code came for ${key}, which nobody asked for`)
      const { artifact } = wanted
      if (skipped.length > 0) {
        report(`${artifact.name}: ${skipped.length} files are no Python of this version: ${skipped[0]}`)
      }
      const home = operatorBase && !compiler && isGlobal(artifact, this.#order) ? GLOBAL : domain
      wanted.resolve(await storeFragment(this.#parts, home, key, await bytecodeFragment(files, this.#parts.blobs)))
    })
  }
}

/** Packages of conda that are for one Python bring their byte code; those that are noarch bring none. */
function needsByteCode({ kind }: Artifact, { entries }: StoredFragment): boolean {
  if (kind === 'conda' && entries.some(({ path }) => path.endsWith('.pyc'))) return false
  return entries.some(isCompiled)
}

/** Its failure is told by `finish`, or is not worth telling any more: until then nobody listens, and that is no fault. */
function told<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {})
  return work
}
