import { HintedError } from '../common/hinted-error.ts'
/** The service does not answer. */
export class ServiceUnreachable extends HintedError {
  override name = 'ServiceUnreachable'
  constructor(url: URL, why: string, hint: string) {
    super(`the service at ${url.origin} could not be reached: ${why}`, hint)
  }
}

/** The service refused a call; the message and hint are its own. */
export class ServiceRefused extends HintedError {
  override name = 'ServiceRefused'
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string, hint: string) {
    super(message, hint)
    this.status = status
    this.code = code
  }
}

/** What a network failure says underneath `fetch failed`: its code where it has one. */
export function networkFault(error: unknown): { code: string; message: string } {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    // Of several addresses tried, the first says why.
    if (each instanceof AggregateError && each.errors.length > 0) return networkFault(each.errors[0])
    if ('code' in each && typeof each.code === 'string') return { code: each.code, message: each.message }
    if (each.cause === undefined) return { code: each.name, message: each.message }
  }
  return { code: 'unknown', message: String(error) }
}

/** What to do about a network failure. */
export function hintFor({ code }: { code: string }): string {
  if (/CERT|SSL|TLS|SIGNATURE|ISSUER/.test(code)) {
    return 'The certificate is not trusted here. Set NODE_EXTRA_CA_CERTS to the PEM file of your authority for this job.'
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return 'The name is not known here. Check the input "service-url", and that this runner can resolve the name.'
  }
  return 'Check the input "service-url", that the service is running (npm start), and that this runner may reach it.'
}
