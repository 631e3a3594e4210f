import { normalizeName } from '../../../common/package-name.ts'
import type { Place } from './format.ts'

/** Where a lock file in TOML has a package (normalised name): the line `name = "…"` of its table. */
export function placeOfPackage(file: string, text: string, name: string): Place | undefined {
  for (const match of text.matchAll(/^\s*name\s*=\s*["']([^"']+)["']/gm)) {
    const line = lineAt(text, match.index + (match[0].length - match[0].trimStart().length))
    if (line !== undefined && normalizeName(match[1] ?? '') === name) return { file, line }
  }
  return undefined
}

/** The line, from 1, of a place in a text. */
export function lineAt(text: string, index: number | undefined): number | undefined {
  return index === undefined ? undefined : text.slice(0, index).split('\n').length
}
