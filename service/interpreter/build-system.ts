import * as z from 'zod/mini'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { readToml } from './formats/read-toml.ts'

/** How a project is built, as its pyproject.toml says it. PEP 518 and 517. */
export interface BuildSystem {
  requires: string[]
  /** `setuptools.build_meta` */
  backend: string
  /** Folders of the project that the backend itself lies in. */
  paths: string[]
}

/** What holds where pyproject.toml says nothing: setup.py, by setuptools. */
const LEGACY: BuildSystem = { requires: ['setuptools>=64'], backend: 'setuptools.build_meta:__legacy__', paths: [] }

const Table = z.object({
  requires: z.array(z.string()),
  'build-backend': z.optional(z.string()),
  'backend-path': z.optional(z.array(z.string())),
})

/**
 * Reads `[build-system]`.
 * @param text of pyproject.toml; absent where the project has none
 * @param file its path, for errors
 * @throws {EnvironmentFileError}
 */
export function buildSystem(text: string | undefined, file: string): BuildSystem {
  const table = text === undefined ? undefined : readToml(file, text, 'Correct this line.')['build-system']
  if (table === undefined) return LEGACY
  const checked = z.safeParse(Table, table)
  if (!checked.success) {
    const message = `[build-system]: ${checked.error.issues[0]?.path.join('.')}: ${checked.error.issues[0]?.message}`
    throw new EnvironmentFileError(file, undefined, message, 'See https://packaging.python.org on pyproject.toml.')
  }
  const { requires, 'build-backend': backend = LEGACY.backend, 'backend-path': paths = [] } = checked.data
  return { requires, backend, paths }
}
