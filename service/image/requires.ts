import { buffer, text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { normalizeName } from '../../common/package-name.ts'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END } from '../../common/tar.ts'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import type { Fragment } from './fragment.ts'

/** What a package says that it needs, by normalised name. */
export interface Requires {
  always: string[]
  /** With one of its extras. */
  extra: string[]
}

/** Metadata is short but for the description; more is not read. */
const MAX_BYTES = 2 ** 20
const METADATA = /\/[^/]+\.dist-info\/METADATA$/
/** What conda keeps of a package that is installed. */
const CONDA_META = /\/conda-meta\/[^/]+\.json$/
const NOTHING: Requires = { always: [], extra: [] }
/** Fragments whose answer is kept. */
const KEPT = 20_000
const known = new Map<Digest, Requires>()

/**
 * What a package's own metadata says that it needs, read out of its fragment. Markers other than extras are not looked at:
 * who asks matters only for packages that were chosen.
 * @throws {BlobMissing}
 */
export async function requiresOf(blobs: Blobs, fragment: Fragment): Promise<Requires> {
  const there = known.get(fragment.digest)
  if (there !== undefined) return there
  const requires = await read(blobs, fragment)
  if (known.size >= KEPT) known.clear()
  known.set(fragment.digest, requires)
  return requires
}

async function read(blobs: Blobs, { digest, entries }: Fragment): Promise<Requires> {
  const ofConda = entries.find(({ path }) => CONDA_META.test(path))
  const entry = ofConda ?? entries.find(({ path }) => METADATA.test(path))
  if (entry === undefined || entry.size > MAX_BYTES || entry.end - entry.start > MAX_BYTES) return NOTHING
  const members = await buffer(await blobs.open(digest, { start: entry.start, end: entry.end }))
  const tar = await promisify(gunzip)(members, { maxOutputLength: 2 * MAX_BYTES })
  for await (const { content } of readTar(chunks(tar, TAR_END))) {
    const metadata = await text(content)
    return ofConda ? parseDepends(metadata) : parseRequires(metadata)
  }
  return NOTHING
}

async function* chunks(...all: Buffer[]): AsyncGenerator<Buffer> {
  yield* all
}

/** https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use */
export function parseRequires(metadata: string): Requires {
  const requires: Requires = { always: [], extra: [] }
  const headers = metadata.split(/\r?\n\r?\n/, 1)[0] ?? ''
  for (const [, requirement = ''] of headers.matchAll(/^Requires-Dist:[ \t]*(.*)$/gim)) {
    const name = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?/.exec(requirement)?.[0]
    if (name === undefined) continue
    const marker = requirement.split(';').slice(1).join(';')
    requires[/\bextra\b/.test(marker) ? 'extra' : 'always'].push(normalizeName(name))
  }
  return requires
}

/** `depends` of a conda package: names with their conditions. https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html */
export function parseDepends(json: string): Requires {
  const { depends } = fieldsOf(json)
  const always = Array.isArray(depends) ? depends.map((each) => String(each).split(/[\s=<>!~]/, 1)[0] ?? '') : []
  return { always, extra: [] }
}

function fieldsOf(json: string): { depends?: unknown } {
  try {
    return (JSON.parse(json) ?? {}) as { depends?: unknown }
  } catch {
    // It explains nothing then; whether such a package can be used is not decided here.
    return {}
  }
}
