/** `x.cpython-311.pyc`, `x.cpython-311.opt-1.pyc` in a `__pycache__` folder (PEP 3147, PEP 488). */
const BYTE_CODE = /^((?:.*\/)?)__pycache__\/([^/]+?)\.[^./]+(?:\.opt-\w+)?\.pyc$/

/** The path of the source that a cached byte code file belongs to, or undefined where a path is no such file. */
export function sourceOf(path: string): string | undefined {
  if (!path.endsWith('.pyc')) return undefined
  const [, folder, module] = BYTE_CODE.exec(path) ?? []
  return module === undefined ? undefined : `${folder}${module}.py`
}
