import { ZipRefused } from './zip-refused.ts'

/** Bit 11 of an entry's flags: the name is UTF-8 (APPNOTE, appendix D). */
const UTF8_FLAG = 0x800

/** The upper half of code page 437, which names without that bit are written in. */
const CP437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'

/**
 * An entry's name, if it is a path inside the archive.
 * @throws {ZipRefused} when it is absolute, climbs, holds `\`, a control character or an empty part, or is no valid text
 */
export function zipName(raw: Buffer, flags: number): string {
  const name = flags & UTF8_FLAG ? utf8(raw) : cp437(raw)
  if (name === '') throw new ZipRefused(name, 'is an entry without a name')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(name)) throw new ZipRefused(name, 'has a control character in its name')
  if (name.includes('\\')) throw new ZipRefused(name, 'has a backslash in its name')
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) throw new ZipRefused(name, 'is an absolute path')
  const parts = name.replace(/\/$/, '').split('/')
  for (const part of parts) {
    if (part === '' || part === '.' || part === '..') throw new ZipRefused(name, `has the part ${JSON.stringify(part)}`)
    if (Buffer.byteLength(part) > 255) throw new ZipRefused(name, 'has a part of more than 255 bytes')
    // In a layer such a name deletes what lies below (OCI image spec, layer.md).
    if (part.startsWith('.wh.')) throw new ZipRefused(name, 'has a part that begins with .wh., a whiteout')
  }
  return name
}

/**
 * The fields of an extra block by their ids.
 * @throws {ZipRefused} when it is not well formed, or names the entry a second time
 */
export function zipExtra(name: string, bytes: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>()
  let at = 0
  while (at + 4 <= bytes.length) {
    const id = bytes.readUInt16LE(at)
    const end = at + 4 + bytes.readUInt16LE(at + 2)
    if (end > bytes.length || fields.has(id)) throw new ZipRefused(name, 'has extra fields that are not well formed')
    // Info-ZIP's Unicode path: some readers would see another name than others.
    if (id === 0x7075) throw new ZipRefused(name, 'has a second name in its extra fields')
    fields.set(id, bytes.subarray(at + 4, end))
    at = end
  }
  return fields
}

function utf8(raw: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw)
  } catch {
    throw new ZipRefused(raw.toString('latin1'), 'has a name that is said to be UTF-8 and is not')
  }
}

function cp437(raw: Buffer): string {
  return raw.toString('latin1').replace(/[\x80-\xff]/g, (char) => CP437[char.charCodeAt(0) - 0x80] as string)
}
