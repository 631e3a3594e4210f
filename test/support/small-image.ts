import { TAR_BLOCK, TAR_END, tarHeader } from '../../common/tar.ts'
import { importBase } from '../../service/registry/import-base.ts'
import type { TestApi } from './api.ts'

/** The OCI name of this machine's architecture. */
export const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch

/** A tar of regular files, with their folders left out. */
export function tarOf(files: Record<string, string>): Buffer {
  const parts = Object.entries(files).flatMap(([path, text]) => {
    const content = Buffer.from(text)
    const header = tarHeader({ path, type: 'file', mode: 0o644, size: content.length, mtime: 946_684_800 })
    return [header, content, Buffer.alloc((TAR_BLOCK - (content.length % TAR_BLOCK)) % TAR_BLOCK)]
  })
  return Buffer.concat([...parts, TAR_END])
}

/** Puts an image of one layer into the embedded registry. */
export async function putImage(
  api: TestApi,
  name: string,
  files: Record<string, string>,
  env: string[] = [],
  architecture = ARCHITECTURE,
) {
  const config = { architecture, env, command: ['/bin/sh'] }
  return await importBase(api.registry, api.blobs, name, chunked(tarOf(files)), config)
}

async function* chunked(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 4096) yield bytes.subarray(at, at + 4096)
}
