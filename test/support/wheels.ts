import { hash } from 'node:crypto'
import { writeZip, type ZipSpec } from './zip-writer.ts'

/** A file of a wheel: its content, or that with a mode (`0o755`). */
export type WheelFile = string | Buffer | { content: string | Buffer; mode: number }

/** A wheel to be made. Nothing but name and version is needed. */
export interface WheelSpec {
  name: string
  version: string
  /** By path in site-packages. */
  files?: Record<string, WheelFile>
  /** By name in bin. `#!python` is rewritten by installers. */
  scripts?: Record<string, WheelFile>
  /** By path below `.data`: `data/share/x`, `headers/x.h`, `purelib/x.py`. */
  data?: Record<string, WheelFile>
  /** `['tool = package.module:main']` */
  consoleScripts?: string[]
  guiScripts?: string[]
  /** `Requires-Dist` lines: `['six>=1.16']`. */
  requires?: string[]
  /** `py3-none-any` if absent. */
  tag?: string
}

/** The file name of a wheel. */
export function wheelFilename({ name, version, tag = 'py3-none-any' }: WheelSpec): string {
  return `${stem(name, version)}-${tag}.whl`
}

/** A valid wheel; the same bytes for the same spec. */
export function makeWheel(spec: WheelSpec): Buffer {
  return writeZip(withRecord(spec, wheelEntries(spec)))
}

/** The entries of a wheel, RECORD not among them. */
export function wheelEntries(spec: WheelSpec): ZipSpec[] {
  const { name, version, tag = 'py3-none-any', requires = [] } = spec
  const base = stem(name, version)
  const metadata = ['Metadata-Version: 2.1', `Name: ${name}`, `Version: ${version}`]
  const entryPoints = [
    ...section('console_scripts', spec.consoleScripts),
    ...section('gui_scripts', spec.guiScripts),
  ].join('\n')
  return [
    ...fileEntries('', spec.files),
    ...fileEntries(`${base}.data/scripts/`, spec.scripts),
    ...fileEntries(`${base}.data/`, spec.data),
    entry(
      `${base}.dist-info/METADATA`,
      [...metadata, ...requires.map((one) => `Requires-Dist: ${one}`), ''].join('\n'),
    ),
    entry(
      `${base}.dist-info/WHEEL`,
      `Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: ${tag.endsWith('-any')}\nTag: ${tag}\n`,
    ),
    ...(entryPoints ? [entry(`${base}.dist-info/entry_points.txt`, entryPoints)] : []),
  ]
}

/** The entries and a RECORD that is right for them. */
export function withRecord({ name, version }: WheelSpec, entries: ZipSpec[]): ZipSpec[] {
  const path = `${stem(name, version)}.dist-info/RECORD`
  const rows = entries
    .filter((one) => !String(one.name).endsWith('/'))
    .map(({ name: file, content = '' }) => {
      const bytes = Buffer.from(content)
      return `${csv(String(file))},sha256=${hash('sha256', bytes, 'base64url')},${bytes.length}\n`
    })
  return [...entries, entry(path, `${rows.join('')}${path},,\n`)]
}

function stem(name: string, version: string): string {
  return `${name.replace(/[-_.]+/g, '_')}-${version}`
}

function section(name: string, lines: string[] = []): string[] {
  return lines.length > 0 ? [`[${name}]`, ...lines, ''] : []
}

function fileEntries(prefix: string, files: Record<string, WheelFile> = {}): ZipSpec[] {
  return Object.entries(files).map(([path, file]) => entry(prefix + path, file))
}

function entry(name: string, file: WheelFile): ZipSpec {
  const plain = typeof file === 'string' || Buffer.isBuffer(file)
  return plain ? { name, content: file } : { name, content: file.content, mode: 0o100000 | file.mode }
}

function csv(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}
