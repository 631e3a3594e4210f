import { HintedError } from '../../common/hinted-error.ts'
import { bringsPython, type InterpreterSpec } from '../interpreter/spec.ts'
import { allowsMinor, pythonLine } from './python-range.ts'

/** No base image serves what was asked for. */
export class NoBase extends HintedError {
  override name = 'NoBase'
}

/**
 * The name of the base image that a spec starts from: the one it names, else the operator's for its Python version,
 * else the operator's first whose Python its files allow. A Python of conda's runs on any.
 * @param bases the operator's (`MEADOW_BASES`): Python version -> image name, the preferred one first
 * @throws {NoBase} when no base has the Python that was asked for, or one that the files allow
 */
export function chooseBase(
  bases: Record<string, string>,
  { format, path, files, baseImage, pythonVersion, requiresPython }: Wish,
): string {
  if (baseImage !== undefined) return baseImage
  const versions = Object.keys(bases).join(', ')
  if (pythonVersion !== undefined && !bringsPython(format)) {
    const chosen = bases[pythonVersion]
    if (chosen !== undefined) return chosen
    throw new NoBase(
      `python-version: no base image has Python ${pythonVersion}; this service has ${versions}`,
      `Ask for one of ${versions}; or name a base-image that has it, like ${likely(pythonVersion)}. Whoever runs the service can add that to MEADOW_BASES, so that all repositories share what is made on it.`,
    )
  }
  const fitting = Object.entries(bases).find(([version]) => allowsMinor(requiresPython ?? '', version))
  if (fitting !== undefined) return fitting[1]
  const line = pythonLine(files[path])
  throw new NoBase(
    `${line === undefined ? path : `${path}:${line}`}: needs Python ${requiresPython}, and the base images have ${versions}`,
    'Widen requires-python; or name a base-image that has such a Python. Whoever runs the service can add one to MEADOW_BASES, so that all repositories share what is made on it.',
  )
}

/**
 * Checks that a base image which a spec names has the Python that it asks for besides.
 * @param version of the image's Python: `3.9.2`
 * @throws {NoBase} when it has another
 */
export function checkNamedBase({ format, baseImage, pythonVersion }: Wish, version: string): void {
  if (baseImage === undefined || pythonVersion === undefined || bringsPython(format)) return
  if (`${version}.`.startsWith(`${pythonVersion}.`)) return
  const minor = version.split('.', 2).join('.')
  throw new NoBase(
    `python-version: asks for Python ${pythonVersion}, and the base-image ${baseImage} has ${version}`,
    `Give "python-version: ${minor}", which mirror_local else takes from the Python that is active; or name a base-image that has Python ${pythonVersion}, or none.`,
  )
}

/** The image that most registries have of a Python. */
function likely(version: string): string {
  return `python:${version}-slim-bookworm`
}

/** What of a spec decides on its base. */
type Wish = Pick<InterpreterSpec, 'format' | 'path' | 'files' | 'baseImage' | 'pythonVersion' | 'requiresPython'>

/** Whether an operator vouches for a base: what is compiled in it may serve everybody. */
export function isOperatorBase(bases: Record<string, string>, name: string): boolean {
  return Object.values(bases).includes(name)
}
