import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { getCACertificates } from 'node:tls'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** What is trusted, for programs that take one file in place of their own. */
export interface Authorities {
  /** PEM. */
  text: string
  /** Where it lies on this machine. */
  file: string
}

/**
 * The authorities that everybody trusts, and those of a PEM file.
 * @param further the PEM file
 * @param folder where the file of all is put
 */
export async function allAuthorities(further: string, folder: string): Promise<Authorities> {
  const own = (await readFile(further, 'utf8')).match(CERTIFICATE) ?? []
  const all = [...getCACertificates('default'), ...own].map((one) => one.trim())
  const text = `${[...new Set(all)].join('\n')}\n`
  const file = join(folder, 'authorities.pem')
  await writeFile(file, text)
  return { text, file }
}
