import { readFileSync } from 'node:fs'
import { join } from 'node:path'

type Name =
  | 'probe'
  | 'resolve'
  | 'run_uv'
  | 'choose'
  | 'locked_artifact'
  | 'other_systems'
  | 'failed'
  | 'uv_project'
  | 'uv_fresh'
  | 'uv_stale'
  | 'write_toml'
  | 'image_packages'
  | 'yanked'
  | 'export_poetry'
  | 'poetry_index'
  | 'poetry_project'
  | 'pylock_rows'
  | 'compile'
  | 'build_wheel'
  | 'bootstrap'
  | 'conda'
  | 'activate'

/** The text of one of our programs for containers, or of a part of one. */
export function pythonSource(name: Name): string {
  return readFileSync(join(import.meta.dirname, 'python', `${name}.py`), 'utf8')
}

/** Programs that wait for requests, and the files that each has beside its own. */
const PARTS = {
  resolve: [
    ...(['failed', 'run_uv', 'uv_project', 'uv_fresh', 'uv_stale', 'write_toml'] as const),
    ...(['image_packages', 'choose', 'locked_artifact', 'other_systems', 'yanked'] as const),
  ],
  export_poetry: ['failed', 'poetry_index', 'poetry_project', 'pylock_rows', 'write_toml'],
} as const

/** The files of a program in a folder that Python runs. https://docs.python.org/3/using/cmdline.html#cmdoption-arg-path */
export function pythonProgram(name: keyof typeof PARTS): Record<string, string> {
  const parts = PARTS[name].map((part) => [`${part}.py`, pythonSource(part)])
  return { '__main__.py': pythonSource(name), ...Object.fromEntries(parts) }
}
