import type { Blobs, Digest } from '../blobs/blobs.ts'
import { FetchFailed, FetchRefused } from '../fetch/errors.ts'
import { ResolverRefused } from '../interpreter/resolution.ts'
import type { CondaSession } from './conda-session.ts'
import { ask } from './kept-steps.ts'

/** What a channel offers for a platform: its repodata.json, as a blob of so many bytes; or why there is none. */
export type Repodata = { digest: Digest; size: number } | { none: string }

/** Asks a channel, by its URL. */
export type ReadRepodata = (channel: string, subdir: string, signal: AbortSignal) => Promise<Repodata>

/** A channel that a file names. */
export interface NamedChannel {
  url: string
  /** As the file has it. */
  name: string
}

/** A channel as the session knows it: its number there, its URL, and its name in the file. */
export type OfferedChannel = [number: number, url: string, name: string]

/** What conda means by names that are no channel of anaconda.org. https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html */
const ANACONDA = 'https://repo.anaconda.com'
const DEFAULTS = [`${ANACONDA}/pkgs/main`, `${ANACONDA}/pkgs/r`]
const ALIAS = 'https://conda.anaconda.org'
const EMPTY = '{"packages": {}, "packages.conda": {}}'

/**
 * Where named channels are. Two names may mean one: a spec may use either.
 * @param own the operator's: name -> URL
 */
export function channelUrls(names: string[], own: Record<string, string>): NamedChannel[] {
  const urls = names.flatMap((name): NamedChannel[] => {
    const plain = name.replace(/\/+$/, '')
    const url = own[plain]
    if (url !== undefined) return [{ url: url.replace(/\/+$/, ''), name: plain }]
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(plain)) return [{ url: plain, name: plain }]
    if (plain === 'defaults') return DEFAULTS.map((each) => ({ url: each, name: plain }))
    return [{ url: `${/^pkgs\/\w+$/.test(plain) ? ANACONDA : ALIAS}/${plain}`, name: plain }]
  })
  return [...new Map(urls.map((each) => [`${each.name} ${each.url}`, each])).values()]
}

/**
 * What stands for channels of anaconda.org where they are named by their addresses, as lists and locks do.
 * @param own the operator's: name -> URL
 * @returns beginnings of addresses, and what they are replaced by
 */
export function channelMirrors(own: Record<string, string>): Record<string, string> {
  const pairs = Object.entries(own).flatMap(([name, url]) =>
    channelUrls([name], {}).map((named) => [`${named.url}/`, `${url.replace(/\/+$/, '')}/`]),
  )
  return Object.fromEntries(pairs)
}

/** Gives a session what channels offer. */
export class ChannelOffers {
  readonly #session: CondaSession
  readonly #blobs: Blobs
  readonly #repodata: ReadRepodata
  readonly #signal: AbortSignal

  constructor(
    session: CondaSession,
    { blobs, repodata }: { blobs: Blobs; repodata: ReadRepodata },
    signal: AbortSignal,
  ) {
    this.#session = session
    this.#blobs = blobs
    this.#repodata = repodata
    this.#signal = signal
  }

  /**
   * What the session does not have yet for a platform, and for all.
   * @param needed whether each channel must have something
   * @throws {ResolverRefused} naming a channel that has nothing, does not answer or is not to be asked
   */
  async of(channels: NamedChannel[], subdir: string, needed: boolean): Promise<OfferedChannel[]> {
    const subdirs = [subdir, 'noarch']
    const all = await Promise.all(channels.map((channel) => this.#there(channel, subdirs)))
    const offered: OfferedChannel[] = []
    for (const [index, { url, name }] of channels.entries()) {
      const there = all[index] ?? []
      const number = this.#session.channels.get(url) ?? this.#session.channels.size
      this.#session.channels.set(url, number)
      offered.push([number, url, name])
      const [none] = there
      if (needed && none && 'none' in none && there.every((each) => 'none' in each)) {
        throw new ResolverRefused('channel', `the channel ${name} has nothing at ${url}/${subdir}: ${none.none}`, name)
      }
      for (const [at, each] of there.entries()) await this.#send(number, subdirs[at] ?? '', each)
    }
    return offered
  }

  async #there({ url, name }: NamedChannel, subdirs: string[]): Promise<Repodata[]> {
    try {
      return await Promise.all(subdirs.map((subdir) => this.#repodata(url, subdir, this.#signal)))
    } catch (error) {
      throw unreachable(name, error)
    }
  }

  async #send(number: number, subdir: string, there: Repodata): Promise<void> {
    const known = `${number}/${subdir}`
    const { digest, size } = 'none' in there ? { digest: 'none', size: EMPTY.length } : there
    if (this.#session.sent.get(known) === digest) return
    const bytes = 'none' in there ? [Buffer.from(EMPTY)] : await this.#blobs.open(there.digest)
    await ask(this.#session, { channel: number, subdir, size }, bytes as AsyncIterable<Buffer>)
    this.#session.sent.set(known, digest)
  }
}

/** That a channel does not answer, or is not to be asked, by the name that the file has for it. */
function unreachable(name: string, error: unknown): unknown {
  if (!(error instanceof FetchFailed || error instanceof FetchRefused)) return error
  const retryable = error instanceof FetchFailed && error.retryable
  return new ResolverRefused('channel', `the channel ${name}: ${error.message}`, name, { hint: error.hint, retryable })
}
