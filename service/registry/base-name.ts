/** A base image's name can't be read, or names a registry that is not ours to ask. */
export class BaseNameInvalid extends Error {
  override name = 'BaseNameInvalid'
  readonly hint: string
  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

/** Where an image is in a registry. */
export interface BaseName {
  /** `library/python` */
  repository: string
  /** A tag or a digest. */
  reference: string
}

const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/

/** Who serves what is named `docker.io/…`. */
const DOCKER_HUB = 'registry-1.docker.io'

/**
 * Reads `python:3.11-slim-bookworm` as Docker does: no host and no folder is `library/`, no tag is `latest`.
 * @param registry host of the registry that bases come from; a name may begin with it, with no other
 * @throws {BaseNameInvalid}
 */
export function parseBaseName(name: string, registry: string): BaseName {
  const [whole, digest] = split(name, '@')
  const slash = whole.indexOf('/')
  const first = whole.slice(0, Math.max(slash, 0))
  // Docker's rule: a first part with a dot or a port is a host.
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost'
  if (isHost && !(first === registry || (first === 'docker.io' && registry === DOCKER_HUB))) {
    const hint = `name an image of ${registry}, or set MEADOW_BASE_REGISTRY`
    throw new BaseNameInvalid(`base-image: ${name} is on ${first}, and bases come from ${registry}`, hint)
  }
  const [path, tag] = split(isHost ? whole.slice(slash + 1) : whole, ':')
  const repository = path.includes('/') || (isHost && first !== 'docker.io') ? path : `library/${path}`
  const reference = digest ?? tag ?? 'latest'
  const wellFormed = digest === undefined ? /^\w[\w.-]{0,127}$/ : /^sha256:[0-9a-f]{64}$/
  if (!PATH.test(repository) || !wellFormed.test(reference)) {
    throw new BaseNameInvalid(`base-image: ${name} is no image name`, 'it should look like python:3.11-slim-bookworm')
  }
  return { repository, reference }
}

function split(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at)
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)]
}
