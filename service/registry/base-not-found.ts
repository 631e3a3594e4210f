import { isContainerImage } from '../../common/container-image.ts'
import { HintedError } from '../../common/hinted-error.ts'
import { RegistryFailed } from './failed.ts'

/** A base image can't be had. */
export class BaseNotFound extends HintedError {
  override name = 'BaseNotFound'
  /** Whether it may be had a little later: its registry is overloaded. */
  readonly retryable: boolean
  /** Whether its registry gave no answer that means something. */
  readonly unanswered: boolean
  constructor(message: string, hint: string, cause?: unknown) {
    super(message, hint, { cause })
    this.retryable = cause instanceof RegistryFailed && (cause.status === 429 || cause.status >= 500)
    this.unanswered = this.retryable || (cause instanceof RegistryFailed && cause.status === 0)
  }
}

const IMAGE_HINT =
  'Correct the name, or push the image for this platform; its registry must show it to anybody by https, from a public address, or be the one of MEADOW_BASE_REGISTRY.'

/** The error for a name, of a base image or of a `docker://` one. */
export function notFound(name: string, why: string, cause?: unknown): BaseNotFound {
  if (isContainerImage(name)) return new BaseNotFound(`container image ${name}: ${why}`, IMAGE_HINT, cause)
  const hint = `make a stand-in by: npm run base-image -- ${name}; or set MEADOW_BASE_REGISTRY to a registry that has it`
  return new BaseNotFound(`base image ${name}: ${why}`, hint, cause)
}
