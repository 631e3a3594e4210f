import { createHash } from 'node:crypto'
import { isContainerImage } from '../../../common/container-image.ts'
import type { InterpreterRequest } from '../../../common/contract.ts'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import type { Lock } from '../lock.ts'
import type { InterpreterSpec } from '../spec.ts'
import type { Format } from './format.ts'

/** A container image as it is, with all that it has. It reads no file; its lock says which digest its tag meant. */
export const containerFormat: Format = {
  name: 'container image',
  options: [],

  load: async () => ({}),

  async lock({ path, imageDigest }): Promise<Lock> {
    if (imageDigest === undefined) throw new Error(`${path}: its digest must be known before its lock is made`)
    const text = `# ${path}\nimage = "${imageDigest}"\n`
    return {
      digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
      text,
      artifacts: [],
      source: path,
      requirements: [],
      unpinned: path.includes('@sha256:') ? [] : [path],
      resolvedAt: Date.now(),
    }
  },

  locate: () => undefined,
}

/**
 * The spec of a request whose interpreter is a container image.
 * @throws {EnvironmentFileError} when the request says besides what only an environment file can have
 */
export function containerSpec(request: InterpreterRequest): InterpreterSpec {
  const { interpreter } = request
  const refuse = (input: string, why: string, hint: string) => {
    throw new EnvironmentFileError(interpreter, undefined, `${input}: ${why}`, hint)
  }
  if (request['base-image'] !== undefined) {
    const hint = `For requirements on top of an image, name their file as "interpreter" and give "base-image: ${interpreter}".`
    refuse('base-image', 'the interpreter is a container image already', hint)
  }
  if (request['python-version'] !== undefined) {
    refuse('python-version', 'a container image has its own Python', 'Take the input "python-version" out.')
  }
  for (const input of ['groups', 'without-groups', 'extras'] as const) {
    if (request[input]?.length) refuse(input, 'a container image has none', `Take the input "${input}" out.`)
  }
  return { format: 'container image', path: interpreter, files: {}, baseImage: interpreter }
}

/** Whether a spec is to show what its image has: the image as it is, or requirements on top of it. */
export function isOnImage({ baseImage }: Pick<InterpreterSpec, 'baseImage'>): boolean {
  return baseImage !== undefined && isContainerImage(baseImage)
}
