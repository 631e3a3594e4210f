import type { InterpreterSpec } from '../interpreter/spec.ts'

/** No base image serves what was asked for. */
export class NoBase extends Error {
  override name = 'NoBase'
  readonly hint: string
  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

/**
 * The name of the base image that a spec starts from: the one it names, else the operator's for its Python version,
 * else the operator's first.
 * @param bases the operator's (`MEADOW_BASES`): Python version -> image name, the preferred one first
 * @throws {NoBase} when no base has the Python that was asked for
 */
export function chooseBase(
  bases: Record<string, string>,
  { baseImage, pythonVersion }: Pick<InterpreterSpec, 'baseImage' | 'pythonVersion'>,
): string {
  if (baseImage !== undefined) return baseImage
  const [preferred] = Object.values(bases)
  const chosen = pythonVersion === undefined ? preferred : bases[pythonVersion]
  if (chosen !== undefined) return chosen
  throw new NoBase(
    `python-version: no base image has Python ${pythonVersion}`,
    `ask for one of ${Object.keys(bases).join(', ')}, name a base-image, or add one to MEADOW_BASES`,
  )
}

/** Whether an operator vouches for a base: what is compiled in it may serve everybody. */
export function isOperatorBase(bases: Record<string, string>, name: string): boolean {
  return Object.values(bases).includes(name)
}
