import * as z from 'zod/mini'
import { isExact } from '../interpreter/conda-spec.ts'
import type { CondaTarget } from '../interpreter/conda-target.ts'
import { ResolverRefused } from '../interpreter/resolution.ts'
import type { ChannelOffers, NamedChannel } from './conda-channels.ts'
import type { CondaSession } from './conda-session.ts'
import { credible } from './credible.ts'
import { ask } from './kept-steps.ts'

/** Where an exact build is looked for that the target lacks: people make environments on these. */
const ELSEWHERE = ['osx-arm64', 'osx-64', 'win-64', 'linux-aarch64', 'linux-64']
/** Where a package is looked for that the target has in no version: each costs the download of what channels have. */
const OFTEN_ELSEWHERE = ['osx-arm64', 'win-64']

/** For each spec, whether it is there, and which builds of its name there are. */
const Found = z.object({ found: z.array(z.tuple([z.boolean(), z.array(z.string())])) })

/** What the target has nothing of. */
interface Missing {
  spec: string
  /** Builds that it has of that name. */
  others: string[]
}

/** Looks for the reason why there is no solution: packages that only other platforms have. */
export class Elsewhere {
  readonly #session: CondaSession
  readonly #offers: ChannelOffers
  readonly #channels: NamedChannel[]

  constructor(session: CondaSession, offers: ChannelOffers, channels: NamedChannel[]) {
    this.#session = session
    this.#offers = offers
    this.#channels = channels
  }

  /** The refusal that says so; undefined where it is not the reason. */
  async explain(specs: string[], target: CondaTarget): Promise<ResolverRefused | undefined> {
    const here = await this.#find(target.subdir, specs)
    const missing = specs.flatMap((spec, index): Missing[] =>
      here[index]?.[0] ? [] : [{ spec, others: here[index]?.[1] ?? [] }],
    )
    const exact = missing.filter(({ spec }) => isExact(spec))
    const absent = missing.filter(({ spec, others }) => !isExact(spec) && others.length === 0)
    return (await this.#madeElsewhere(exact, target)) ?? (await this.#onlyElsewhere(absent, target))
  }

  /** Proof that exact builds are for another platform. */
  async #madeElsewhere(exact: Missing[], target: CondaTarget): Promise<ResolverRefused | undefined> {
    for (const subdir of exact.length > 0 ? ELSEWHERE : []) {
      if (subdir === target.subdir) continue
      const there = await this.#find(
        subdir,
        exact.map(({ spec }) => spec),
      )
      const proven = exact.filter((_, index) => there[index]?.[0])
      if (proven.length === 0) continue
      const specs = proven.map(({ spec }) => spec)
      return new ResolverRefused('platform', `${specs.join(', ')} are builds for ${subdir}`, undefined, {
        elsewhere: { specs, subdir, target, others: proven[0]?.others ?? [] },
      })
    }
    return undefined
  }

  /** A package that the target has in no version, and another platform has. */
  async #onlyElsewhere(absent: Missing[], target: CondaTarget): Promise<ResolverRefused | undefined> {
    if (absent.length === 0) return undefined
    const specs = absent.map(({ spec }) => spec)
    const having = new Map<string, string[]>()
    for (const subdir of OFTEN_ELSEWHERE) {
      const there = await this.#find(subdir, specs)
      for (const [index, spec] of specs.entries()) {
        const [isThere, others] = there[index] ?? [false, []]
        if (isThere || others.length > 0) having.set(spec, [...(having.get(spec) ?? []), subdir])
      }
    }
    const [first] = having
    if (first === undefined) return undefined
    const said = [...having].map(([spec, subdirs]) => `${spec} (${subdirs.join(', ')})`)
    const message = `${target.subdir} has none of these, which other platforms have: ${said.join(', ')}`
    return new ResolverRefused('platform', message, first[0])
  }

  async #find(subdir: string, specs: string[]): Promise<z.infer<typeof Found>['found']> {
    const channels = await this.#offers.of(this.#channels, subdir, false)
    return credible(Found, await ask(this.#session, { find: specs, channels, subdir })).found
  }
}
