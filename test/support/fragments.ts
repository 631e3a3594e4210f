import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { TAR_END, tarHeader, tarPadding } from '../../common/tar.ts'
import type { Blobs } from '../../service/blobs/blobs.ts'
import type { BaseImage } from '../../service/image/base.ts'
import { parentFolders } from '../../service/image/folders.ts'
import type { Fragment, FragmentEntry, PlannedArtifact, StoredFragment } from '../../service/image/fragment.ts'
import type { LayerIndex, WrittenLayer } from '../../service/image/layers.ts'
import { FIXED_TIME, skeletonEntries } from '../../service/image/skeleton.ts'
import type { Probe } from '../../service/interpreter/probe.ts'

/** A file of an artifact made up for a test. */
export interface MadeFile {
  /** Below `/`. */
  path: string
  content: string
  mode?: number
  /** A link instead. */
  link?: string
}

/** An artifact made up for a test. */
export interface MadeArtifact {
  name: string
  version: string
  files: MadeFile[]
  bytecode?: MadeFile[]
  weight?: number
}

export const PROBE: Probe = {
  markers: {},
  tags: [],
  version: '3.11.2',
  prefix: '/usr',
  sitePackages: [],
  installed: [],
  basePrefix: '/usr',
  executable: '/usr/bin/python3.11',
  cacheTag: 'cpython-311',
  libc: { name: 'glibc', version: '2.36' },
  machine: 'x86_64',
  user: '0:0',
}

/** A base without layers. */
export const BASE: BaseImage = {
  name: 'python:3.11',
  digest: `sha256:${'b'.repeat(64)}`,
  layers: [],
  defaults: { env: ['PATH=/usr/bin:/bin', 'LANG=C.UTF-8', 'PYTHONHOME=/usr'], user: '1000', workdir: '/home' },
  platform: 'linux/amd64',
  reference: '',
}

export const SKELETON = skeletonEntries(PROBE)
export const SITE = 'opt/env/lib/python3.11/site-packages'

/** An artifact that is one module with byte code, `<name>/<module>.py`, and its metadata. */
export function madeModule(name: string, version = '1', content = `# ${name} ${version}`): MadeArtifact {
  return {
    name,
    version,
    files: [
      { path: `${SITE}/${name}/__init__.py`, content },
      { path: `${SITE}/${name}-${version}.dist-info/METADATA`, content: `Name: ${name}` },
    ],
    bytecode: [{ path: `${SITE}/${name}/__pycache__/__init__.cpython-311.pyc`, content: `compiled ${content}` }],
  }
}

/** Stores an artifact's fragments and their manifests. */
export async function storeArtifact(made: MadeArtifact, blobs: Blobs): Promise<PlannedArtifact> {
  const { name, version, files, bytecode } = made
  return {
    name,
    version,
    weight: made.weight ?? 0,
    files: await storeFragment(files, blobs),
    ...(bytecode && bytecode.length > 0 && { bytecode: await storeFragment(bytecode, blobs) }),
  }
}

async function storeFragment(files: MadeFile[], blobs: Blobs): Promise<StoredFragment> {
  const { bytes, fragment } = makeFragment(files)
  await blobs.put(bytes)
  const { digest: manifest } = await blobs.put(Buffer.from(JSON.stringify(fragment)))
  return { ...fragment, manifest }
}

/** The gzip members of some files: their folders, then header, payload, padding of each, and the tar end. */
export function makeFragment(files: MadeFile[]): { bytes: Buffer; fragment: Fragment } {
  const head = Buffer.concat(parentFolders(files.map(({ path }) => path)).map(tarHeader))
  const tar: Buffer[] = [head]
  const members: Buffer[] = [gzipSync(head)]
  let start = members[0]?.length ?? 0
  const entries = files.map(({ path, content, mode = 0o644, link }): FragmentEntry => {
    const payload = Buffer.from(link === undefined ? content : '')
    const type = link === undefined ? 'file' : 'symlink'
    const header = tarHeader({ path, type, mode, size: payload.length, mtime: FIXED_TIME, ...(link && { link }) })
    const pieces = [header, payload, tarPadding(payload.length)].filter((piece) => piece.length > 0)
    const entryMembers = pieces.map((piece) => gzipSync(piece, { level: 1 }))
    const end = entryMembers.reduce((sum, member) => sum + member.length, start)
    const entry = {
      path,
      mode,
      size: payload.length,
      sha256: sha256(link ?? payload),
      ...(link && { link }),
      start,
      end,
    }
    members.push(...entryMembers)
    tar.push(...pieces)
    start = end
    return entry
  })
  tar.push(TAR_END)
  const bytes = Buffer.concat([...members, gzipSync(TAR_END)])
  const whole = Buffer.concat(tar)
  const ids = { digest: `sha256:${sha256(bytes)}`, diffId: `sha256:${sha256(whole)}` } as const
  return { bytes, fragment: { ...ids, size: bytes.length, tarSize: whole.length, entries } }
}

/** Remembers layers for one test. */
export class MemoryLayerIndex implements LayerIndex {
  readonly known = new Map<string, WrittenLayer>()
  async find(key: string): Promise<WrittenLayer | undefined> {
    return this.known.get(key)
  }
  async save(key: string, descriptor: WrittenLayer): Promise<void> {
    this.known.set(key, descriptor)
  }
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}
