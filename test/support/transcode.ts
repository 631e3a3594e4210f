import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type InstalledWheel, installWheel } from '../../service/image/wheel.ts'

/** Transcodes a wheel in this thread. `members` are the fragment's bytes. */
export async function transcode(
  wheel: Buffer,
  filename: string,
  python = '3.11',
): Promise<InstalledWheel & { members: Buffer }> {
  const folder = mkdtempSync(join(tmpdir(), 'wheel-'))
  try {
    const file = join(folder, 'wheel')
    writeFileSync(file, wheel)
    const pieces: Buffer[] = []
    const source = installWheel({ file, filename, python })
    for (;;) {
      const next = await source.next()
      if (next.done) return { ...next.value, members: Buffer.concat(pieces) }
      pieces.push(next.value)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** One thing in a tar, as Python sees it. */
export interface Seen {
  type: 'file' | 'folder' | 'link' | 'other'
  mode: number
  size: number
  /** Of the content; empty for what has none. */
  sha256: string
  owner: string
  mtime: number
}

/**
 * What Python's tarfile finds in a tar.gz, by path; a path that is there twice is an error. Not its stream mode `r|gz`:
 * that stops after the first gzip member.
 */
export function seenByPython(archive: Buffer): Map<string, Seen> {
  const script = `
import hashlib, io, json, sys, tarfile
rows = []
tar = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), mode='r:gz')
for m in tar:
    kind = 'file' if m.isfile() else 'folder' if m.isdir() else 'link' if m.issym() else 'other'
    content = hashlib.sha256(tar.extractfile(m).read()).hexdigest() if kind == 'file' else ''
    owner = f'{m.uid}:{m.gid}:{m.uname}:{m.gname}'
    rows.append([m.name, dict(type=kind, mode=m.mode, size=m.size, sha256=content, owner=owner, mtime=m.mtime)])
print(json.dumps(rows))`
  const output = execFileSync('python3', ['-c', script], { input: archive, maxBuffer: 2 ** 28, encoding: 'utf8' })
  const rows: [string, Seen][] = JSON.parse(output)
  const seen = new Map(rows)
  if (seen.size !== rows.length) throw new Error('a path is there twice')
  return seen
}

/** The contents of files in a tar.gz, by path, as Python reads them. */
export function contentsByPython(archive: Buffer): Map<string, Buffer> {
  const script = `
import base64, io, json, sys, tarfile
tar = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), mode='r:gz')
print(json.dumps([[m.name, base64.b64encode(tar.extractfile(m).read()).decode()] for m in tar if m.isfile()]))`
  const output = execFileSync('python3', ['-c', script], { input: archive, maxBuffer: 2 ** 28, encoding: 'utf8' })
  const rows: [string, string][] = JSON.parse(output)
  return new Map(rows.map(([path, content]) => [path, Buffer.from(content, 'base64')]))
}

export function sha256(content: string | Buffer): string {
  return hash('sha256', content, 'hex')
}
