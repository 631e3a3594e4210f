import type { BundleLimits } from '../../common/bundle-format.ts'
import type { UploadedBundle } from '../../common/contract.ts'
import type { BlobInfo, Blobs, Digest } from '../blobs/blobs.ts'
import { bundleOf, saveBundle } from '../database/code.ts'
import type { Database } from '../database/database.ts'
import { wasPushed } from '../database/deliveries.ts'
import type { Fetcher } from '../fetch/fetcher.ts'
import { type Domain, pullRequestDomain } from '../policy/domain.ts'
import { type StoredBundle, storeCommit, storeUpload } from './bundle.ts'
import { BundleTree, type CodeTree } from './bundle-tree.ts'
import { type CheckoutOptions, Checkouts, type RepositoryRef } from './checkout.ts'
import { Mirrors } from './mirror.ts'
import { type Claim, CodeNotProven, narrower, provenDomain, unprovenDomain } from './proof.ts'
import { RemoteError, remoteUrl } from './remote.ts'
import { Turns } from './turns.ts'
import { makeVariant, recall, remember, variantKey } from './variants.ts'

/** What is wanted, and who wants it. */
export interface CodeAsked {
  repository: RepositoryRef
  /** 40 hex digits. */
  commit: string
  pullRequest?: number | undefined
  /** What the client uploaded for the case that the service can't fetch the commit. */
  bundle?: UploadedBundle | undefined
  /** Whether submodules, and files that Git LFS keeps, are fetched too. */
  submodules?: boolean | undefined
  lfs?: boolean | undefined
  callerDomain: Domain
}

/** Mirrored code that is wanted, and who wants it. */
export interface MirrorAsked {
  /** The indexes of its roots. */
  roots: Digest[]
  callerDomain: Domain
}

/** The code of a commit, or mirrored code. */
export interface Code {
  /** The narrower of the code's own domain and the caller's. */
  domain: Domain
  bundle: BlobInfo
  tree: CodeTree
  /** Bundles of further roots, of mirrored code. */
  roots?: Digest[]
}

export interface CodeOptions {
  signal: AbortSignal
  /** Called with what a user should know. */
  report: (line: string) => void
}

/** Code at a commit. */
export interface Source {
  /**
   * Finds the domain of a commit and its bundle; fetches it, or takes the upload, where it is not known yet.
   * @throws {CodeNotProven} for a commit that nothing vouches for
   * @throws {WrongDomain} for code that the caller may not have
   * @throws {RemoteError} where the git host does not give it and nothing was uploaded
   * @throws {BundleRefused} for trees and uploads that are refused
   * @throws what `makeVariant` throws, where submodules or files of Git LFS are asked for
   */
  codeAt(asked: CodeAsked, options: CodeOptions): Promise<Code>
  /**
   * The commit that a branch or tag is at now; `HEAD` is the default branch.
   * @returns the whole name of the ref too
   * @throws {RemoteError}
   */
  resolve(repository: RepositoryRef, ref: string, signal: AbortSignal): Promise<{ commit: string; ref: string }>
  /**
   * The code that a caller mirrored, its bundles made where they are not known yet.
   * @throws {MirrorIncomplete} where something of it was not sent, or is gone
   * @throws {BundleRefused}, {TarRefused} or {IndexRefused} for what is refused
   */
  mirrored(asked: MirrorAsked, options: CodeOptions): Promise<Code>
  /** Ends what waits for further commits. */
  close(): Promise<void>
}

export interface SourceParts {
  database: Database
  blobs: Blobs
  checkout: CheckoutOptions
  /** For what Git LFS keeps: the git host is configured in it. */
  fetcher: Fetcher
  limits?: BundleLimits | undefined
}

type Obtained = StoredBundle & { fetched: boolean }

export function createSource({ database, blobs, checkout, fetcher, limits }: SourceParts): Source {
  const checkouts = new Checkouts(checkout)
  const turns = new Turns()
  const evidence = {
    checkouts,
    wasPushed: (repository: string, commit: string) => wasPushed(database.state, repository, commit),
  }

  const known = async (domain: Domain, name: string): Promise<BlobInfo | undefined> => {
    const row = await bundleOf(database.state, [domain], name)
    return row && (await blobs.size(row.digest)) !== undefined ? { digest: row.digest, size: row.size } : undefined
  }

  const save = async (domain: Domain, name: string, { digest, size }: BlobInfo) =>
    await database.write(({ db }) => saveBundle(db, { domain, commit_id: name, digest, size, created: Date.now() }))

  /** What needs no look at the git host: a bundle lies in a domain only after it was proven to belong there. */
  const knownAlready = async ({ repository, commit, pullRequest }: Claim) => {
    const domains = [repository.id]
    if (pullRequest !== undefined) domains.push(pullRequestDomain(repository.id, pullRequest))
    for (const domain of domains) {
      const bundle = await known(domain, commit)
      if (bundle) return { domain, bundle }
    }
    return undefined
  }

  const prove = async (asked: CodeAsked, { signal, report }: CodeOptions): Promise<Domain> => {
    const unproven = unprovenDomain(asked)
    const uploaded = asked.bundle !== undefined || (await known(unproven, asked.commit)) !== undefined
    try {
      const proven = await provenDomain(evidence, asked, signal)
      if (proven !== undefined) return proven
    } catch (error) {
      if (!(error instanceof RemoteError) || !uploaded) throw error
      report(`${error.message}; the uploaded code is used, as that of nobody but this commit`)
    }
    if (uploaded) return unproven
    throw new CodeNotProven(asked.commit, asked.repository.name, asked.pullRequest)
  }

  /** Fetches rather than take an upload, where the host has the commit: what the service made itself needs no proof. */
  const obtain = async (asked: CodeAsked, domain: Domain, { signal, report }: CodeOptions): Promise<Obtained> => {
    const { repository, commit, bundle } = asked
    if (domain !== unprovenDomain(asked)) {
      try {
        await using objects = await checkouts.commit(repository, commit, signal)
        return { ...(await storeCommit(blobs, objects, commit, limits)), fetched: true }
      } catch (error) {
        if (!(error instanceof RemoteError) || bundle === undefined) throw error
        report(`${error.message}; the uploaded code is used`)
      }
    }
    if (bundle === undefined) throw new CodeNotProven(commit, repository.name, asked.pullRequest)
    return { ...(await storeUpload(blobs, commit, bundle, limits)), fetched: false }
  }

  /** The commit's own bundle, of which its variants are made. Made once, however many ask for it at the same time. */
  const own = (asked: CodeAsked, proven: Domain, domain: Domain, options: CodeOptions): Promise<StoredBundle> =>
    turns.take(`${proven} ${domain} ${asked.commit}`, () => ownInTurn(asked, proven, domain, options))

  const ownInTurn = async (asked: CodeAsked, proven: Domain, domain: Domain, options: CodeOptions) => {
    const remembered = await recall({ database, blobs }, [proven, domain], asked.commit)
    if (remembered !== undefined) return remembered
    const made = await obtain(asked, proven, options)
    if (asked.submodules !== true) {
      for (const { path } of made.gitlinks) {
        options.report(`${path} is a submodule: its files are left out ("submodules: true" brings them)`)
      }
    }
    // Its ids prove an upload, but as far as SHA-1 goes: it does not rise above who sent it.
    await remember({ database, blobs }, made.fetched ? proven : domain, asked.commit, made)
    return made
  }

  /** With submodules, or what Git LFS keeps. */
  const variant = async (asked: CodeAsked, proven: Domain, domain: Domain, options: CodeOptions): Promise<BlobInfo> => {
    const name = variantKey(asked.commit, asked)
    const there = await known(domain, name)
    if (there !== undefined) return there
    const { commit, repository } = asked
    const url = new URL(remoteUrl(checkout.gitUrl, repository.name))
    const parts = { database, blobs, checkouts, fetcher, gitUrl: checkout.gitUrl, limits }
    const of = { domain, commit, url, own: await own(asked, proven, domain, options) }
    const made = await makeVariant(parts, of, asked, options)
    await save(domain, name, made)
    return made
  }

  const mirrors = new Mirrors({ database, blobs, limits })

  return {
    close: () => checkouts.close(),
    resolve: (repository, ref, signal) => checkouts.resolve(repository, ref, signal),
    /**
     * The domain is the caller's own, no narrower one. Nothing vouches for this code but the caller, and who may run a
     * command in a domain may do there whatever mirrored code can do: a domain a change would protect from nothing, and
     * each would make its environment anew, without network. Callers who may do less have a narrower domain themselves.
     */
    async mirrored({ roots, callerDomain: domain }, { signal }) {
      const bundles: BlobInfo[] = []
      for (const root of roots) bundles.push(await mirrors.bundle(domain, root, signal))
      const [bundle, ...further] = bundles
      if (bundle === undefined) throw new TypeError('mirrored code without a root was accepted')
      const tree = new BundleTree(blobs, bundle.digest)
      return { domain, bundle, tree, roots: further.map(({ digest }) => digest) }
    },

    async codeAt(asked, options) {
      const found = await knownAlready(asked)
      const proven = found?.domain ?? (await prove(asked, options))
      const domain = narrower(proven, asked.callerDomain)
      const bundle =
        asked.submodules || asked.lfs
          ? await variant(asked, proven, domain, options)
          : (found?.bundle ?? (await known(proven, asked.commit)) ?? (await own(asked, proven, domain, options)))
      return { domain, bundle, tree: new BundleTree(blobs, bundle.digest) }
    },
  }
}
