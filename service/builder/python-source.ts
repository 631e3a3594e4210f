import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The text of one of our programs for containers, given to Python by `-c`. */
export function pythonSource(
  name: 'probe' | 'resolve' | 'compile' | 'build_wheel' | 'bootstrap' | 'export_poetry',
): string {
  return readFileSync(join(import.meta.dirname, 'python', `${name}.py`), 'utf8')
}
