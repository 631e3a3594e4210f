import type { FragmentEntry } from './fragment.ts'

/** `x.cpython-311.pyc`, `x.cpython-311.opt-1.pyc` in a `__pycache__` folder (PEP 3147, PEP 488). */
const BYTE_CODE = /^((?:.*\/)?)__pycache__\/([^/]+?)\.[^./]+(?:\.opt-\w+)?\.pyc$/

/** The path of the source that a cached byte code file belongs to, or undefined where a path is no such file. */
export function sourceOf(path: string): string | undefined {
  if (!path.endsWith('.pyc')) return undefined
  const [, folder, module] = BYTE_CODE.exec(path) ?? []
  return module === undefined ? undefined : `${folder}${module}.py`
}

/**
 * Whether an image holds byte code of this file: a module that can be imported. Not scripts and data, and not the tests
 * that packages bring along, a third of the sources of a large environment: programs don't import them, and Python
 * compiles what has no byte code when it is imported.
 */
export function isCompiled({ path, link }: Pick<FragmentEntry, 'path' | 'link'>): boolean {
  return link === undefined && path.endsWith('.py') && /\/(?:site|dist)-packages\/(?!(?:.*\/)?tests\/)/.test(path)
}
