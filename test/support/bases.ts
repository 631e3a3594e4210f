import { localBase } from '../../machine/local-base.ts'

/** The Python versions that tests cover. */
export type PythonVersion = '3.9' | '3.11' | '3.13'

/**
 * The name of a local image with that Python, as an operator's base image has it (the interpreter is
 * /usr/bin/python3). Made where it is missing, and kept for the next time.
 */
export async function baseImage(python: PythonVersion): Promise<string> {
  return await localBase(python, { say: (line) => console.error(line) })
}
