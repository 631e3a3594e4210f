import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { tarArchive } from '../../common/tar.ts'

/** A package index on the loopback, whose files may be had only in part. */
export interface PackageIndex {
  /** For `MEADOW_INDEX_URL`. */
  url: string
  /** Ranges that were asked for of files, in order; empty where all was. */
  asked: string[]
  /** How many more answers break off in their middle. */
  cuts: number
  /** A pylock.toml of one package. */
  lock(file: IndexFile): string
}

export interface IndexFile {
  filename: string
  content: Buffer
}

/** Serves files by their names until the test ends (RFC 9110: ranges and entity tags). */
export async function packageIndex(t: Pick<TestContext, 'after'>, files: IndexFile[]): Promise<PackageIndex> {
  const index: PackageIndex = { url: '', asked: [], cuts: 0, lock: (file) => lockOf(index.url, file) }
  const server = createServer((request, response) => {
    const file = files.find(({ filename }) => request.url === `/files/${filename}`)
    if (file === undefined) return void response.writeHead(404).end()
    const { range = '' } = request.headers
    index.asked.push(range)
    const start = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0)
    const rest = file.content.subarray(start)
    response.writeHead(start > 0 ? 206 : 200, {
      etag: `"${sha256(file.content)}"`,
      'content-length': rest.length,
      ...(start > 0 && { 'content-range': `bytes ${start}-${file.content.length - 1}/${file.content.length}` }),
    })
    if (index.cuts === 0) return void response.end(rest)
    index.cuts--
    response.write(rest.subarray(0, rest.length / 2), () => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  index.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`
  return index
}

/** A source distribution whose build needs nothing but its own backend; its metadata holds as it is. */
export function makeSdist(name: string, backend: string, version = '1.0'): IndexFile {
  return sdistOf(name, version, {
    'PKG-INFO': `Metadata-Version: 2.2\nName: ${name}\nVersion: ${version}\n`,
    'pyproject.toml': `[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "${name}"\nversion = "${version}"\n`,
    'backend.py': backend,
  })
}

/** One as they were made of old: only its setup.py knows what it needs. */
export function makeOldSdist(name: string, setup: string, version = '1.0'): IndexFile {
  const metadata = `Metadata-Version: 1.2\nName: ${name}\nVersion: ${version}\n`
  return sdistOf(name, version, { 'PKG-INFO': metadata, 'setup.py': setup })
}

function sdistOf(name: string, version: string, files: Record<string, string>): IndexFile {
  const entries = Object.entries(files).map(([path, text]) => ({
    path: `${name}-${version}/${path}`,
    type: 'file' as const,
    mode: 0o644,
    mtime: 946_684_800,
    content: Buffer.from(text),
  }))
  return { filename: `${name}-${version}.tar.gz`, content: gzipSync(tarArchive(entries)) }
}

function lockOf(url: string, { filename, content }: IndexFile): string {
  const [name = '', version = ''] = filename.replace(/\.tar\.gz$/, '').split('-')
  const where = `url = "${url.replace(/simple$/, 'files/')}${filename}", size = ${content.length}`
  const file = `{ ${where}, hashes = { sha256 = "${sha256(content)}" } }`
  return [
    'lock-version = "1.0"',
    'created-by = "test"',
    '[[packages]]',
    `name = "${name}"`,
    `version = "${version}"`,
    filename.endsWith('.whl') ? `wheels = [${file}]` : `sdist = ${file}`,
    '',
  ].join('\n')
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
