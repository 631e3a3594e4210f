import { HintedError } from '../../common/hinted-error.ts'
/** What the fetcher is asked for. */
export interface Download {
  /** The package that it belongs to, for messages. */
  name: string
  /** Absent is refused: nothing else is fetched. */
  url?: string
  /** Hex. Absent where nobody knows it yet. */
  sha256?: string
  /** Bytes, where known. */
  size?: number
  /** Further headers, which may be secret: they go to the URL's own origin only. */
  headers?: Record<string, string>
}

/** A URL that is not fetched, for what it is or where it leads. */
export class FetchRefused extends HintedError {
  override name = 'FetchRefused'
  /** The package. */
  readonly package: string
  constructor(download: Download, url: URL | string, why: string, hint: string) {
    super(`${download.name}: ${shown(url)} ${why}`, hint)
    this.package = download.name
  }
}

/** A URL that could not be fetched. */
export class FetchFailed extends Error {
  override name = 'FetchFailed'
  readonly package: string
  /** Half a sentence: `the server answered 404`. */
  readonly why: string
  /** Whether the same may go well a little later. */
  readonly retryable: boolean
  readonly hint: string
  constructor(download: Download, url: URL | string, why: string, retryable: boolean, options?: ErrorOptions) {
    super(`${download.name}: ${shown(url)} could not be fetched: ${why}`, options)
    this.package = download.name
    this.why = why
    this.retryable = retryable
    this.hint = retryable
      ? 'Check that the service reaches this host (MEADOW_CA_BUNDLE, proxies), and try again.'
      : 'Check that the file is still there; if it is gone, resolve anew or correct the lock.'
  }
}

/** Bytes that are not the ones that the lock names. */
export class HashMismatch extends Error {
  override name = 'HashMismatch'
  readonly package: string
  readonly expected: string
  readonly actual: string
  readonly hint =
    'The file was changed after the lock was made, or on its way. Lock it anew only if you know why it changed.'
  constructor(download: Download, url: URL | string, expected: string, actual: string) {
    super(`${download.name}: ${shown(url)} has sha256 ${actual}, not ${expected}`)
    this.package = download.name
    this.expected = expected
    this.actual = actual
  }
}

/** A URL as it may be shown: without user, password and query, any of which may be a credential. */
export function shown(url: URL | string): string {
  const text = String(url)
  if (!URL.canParse(text)) return text.replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/s, '')
  const { protocol, host, pathname } = new URL(text)
  return `${protocol}//${host}${pathname}`
}
