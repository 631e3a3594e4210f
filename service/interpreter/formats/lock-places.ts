import { normalizeName } from '../../../common/package-name.ts'
import type { EnvironmentFiles } from '../spec.ts'
import type { Place } from './format.ts'

/** Where a lock file in TOML has a package (normalised name): the line `name = "…"` of its table. */
export function placeOfPackage(file: string, text: string, name: string): Place | undefined {
  for (const match of text.matchAll(/^\s*name\s*=\s*["']([^"']+)["']/gm)) {
    const line = lineAt(text, match.index + (match[0].length - match[0].trimStart().length))
    if (line !== undefined && normalizeName(match[1] ?? '') === name) return { file, line }
  }
  return undefined
}

/** The first line of several files that has a text; undefined where none has. */
export function placeOfText(files: EnvironmentFiles, text: string): Place | undefined {
  for (const [file, content] of text === '' ? [] : Object.entries(files)) {
    const index = content.indexOf(text)
    if (index >= 0) return { file, line: content.slice(0, index).split('\n').length }
  }
  return undefined
}

/** The line, from 1, of a place in a text. */
export function lineAt(text: string, index: number | undefined): number | undefined {
  return index === undefined ? undefined : text.slice(0, index).split('\n').length
}
