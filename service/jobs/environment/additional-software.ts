import type { Blobs } from '../../blobs/blobs.ts'
import type { Builder } from '../../builder/builder.ts'
import type { Database } from '../../database/database.ts'
import type { BaseImage } from '../../image/base.ts'
import { keyOf } from '../../image/keys.ts'
import type { WrittenLayer } from '../../image/layers.ts'
import { type Domain, GLOBAL } from '../../policy/domain.ts'
import { reporting, type WorkContext } from '../events/journal.ts'
import { findKept, keep } from './kept.ts'

/** Grows when the same packages would make another layer. */
const FORMAT = 1

/** What installing needs. */
export interface SoftwareParts {
  database: Database
  blobs: Blobs
  builder: Pick<Builder, 'installByApt'>
  /** A base with one more layer, where engines find it. */
  extendBase: (base: BaseImage, layer: WrittenLayer, home: Domain) => Promise<BaseImage>
  /** Whether an operator vouches for the base, so that what is installed in it may serve everybody. */
  isOperatorBase: (name: string) => boolean
}

/** A list of packages, as it was once resolved and installed on a base. Stored as a blob. */
interface Software {
  /** Dependencies included. */
  versions: string[]
  /** Absent where the base had it all. */
  layer?: WrittenLayer
  /** Milliseconds since 1970. */
  resolvedAt: number
}

/**
 * A base with additional software: one layer directly above it, known by the base and the resolved versions. Which
 * versions a list means is asked once and then known, like a lock.
 * @param packages checked names
 * @throws {AptFailed}
 */
export async function withSoftware(
  parts: SoftwareParts,
  { base, packages, domain }: { base: BaseImage; packages: string[]; domain: Domain },
  context: WorkContext,
): Promise<BaseImage> {
  const home = parts.isOperatorBase(base.name) ? GLOBAL : domain
  const asked = keyOf('software asked for', FORMAT, base.digest, packages)
  const known = await findSoftware(parts, domain, asked)
  const { journal } = context
  const software = await journal.stage(
    'software',
    async () => known ?? (await install(parts, { base, packages, domain, home, asked }, context)),
    ({ versions }) => ({ detail: known ? 'known' : `${versions.length} packages` }),
  )
  journal.note(describe(packages, software))
  return software.layer === undefined ? base : await parts.extendBase(base, software.layer, home)
}

async function install(
  parts: SoftwareParts,
  of: { base: BaseImage; packages: string[]; domain: Domain; home: Domain; asked: string },
  context: WorkContext,
): Promise<Software> {
  const { base, packages, domain, home, asked } = of
  const keyOfVersions = (versions: string[]) => keyOf('software', FORMAT, base.digest, versions)
  let known: Software | undefined
  const { versions, layer } = await parts.builder.installByApt(base, packages, {
    ...reporting(context),
    isKnown: async (versions) => {
      known = await findSoftware(parts, domain, keyOfVersions(versions))
      return known !== undefined
    },
  })
  const made = known?.layer ?? layer
  const software: Software = { versions, ...(made && { layer: made }), resolvedAt: Date.now() }
  await keep(parts, home, [asked, keyOfVersions(versions)], software)
  return software
}

/** Undefined where it is not known, or where its bytes are gone. */
async function findSoftware(parts: SoftwareParts, domain: Domain, key: string): Promise<Software | undefined> {
  const software = await findKept<Software>(parts, domain, key)
  const layer = software?.layer
  const isThere = layer === undefined || (await parts.blobs.size(layer.digest)) !== undefined
  return isThere ? software : undefined
}

function describe(packages: string[], { versions, resolvedAt }: Software): string {
  if (versions.length === 0) return `additional software: the base image has all of ${packages.join(', ')}`
  const day = new Date(resolvedAt).toISOString().slice(0, 10)
  const open = packages.filter((each) => !each.includes('='))
  const left = open.length > 0 ? `; without a version: ${open.join(', ')}` : ''
  return `additional software, as apt resolved it on ${day}: ${versions.join(', ')}${left}`
}
