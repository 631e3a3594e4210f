import { imageName, isContainerImage } from '../../common/container-image.ts'
import { HintedError } from '../../common/hinted-error.ts'

/** A base image's name can't be read, or names a registry that is not ours to ask. */
export class BaseNameInvalid extends HintedError {
  override name = 'BaseNameInvalid'
}

/** Where an image is in a registry. */
export interface BaseName {
  /** Host of the registry, where it is not the one that bases come from. */
  host?: string
  /** `library/python` */
  repository: string
  /** A tag or a digest. */
  reference: string
}

const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/

const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?::\d{1,5})?$/
/** Of the embedded registry, what it holds of its own making. */
const OWN = /^meadow\//

/** Who serves what is named `docker.io/…`. */
const DOCKER_HUB = 'registry-1.docker.io'

/**
 * Reads `python:3.11-slim-bookworm` as Docker does: no host and no folder is `library/`, no tag is `latest`. What begins
 * with `docker://` may name any registry.
 * @param registry host of the registry that bases come from; other names may begin with it, with no other
 * @throws {BaseNameInvalid}
 */
export function parseBaseName(name: string, registry: string): BaseName {
  const isAny = isContainerImage(name)
  const [whole, digest] = split(imageName(name), '@')
  const slash = whole.indexOf('/')
  const first = whole.slice(0, Math.max(slash, 0))
  // Docker's rule: a first part with a dot or a port is a host.
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost'
  const isConfigured = !isHost || first === registry || (first === 'docker.io' && registry === DOCKER_HUB)
  if (!isConfigured && !isAny) {
    const hint = `name an image of ${registry}, set MEADOW_BASE_REGISTRY, or write docker://${name} to build on what it has`
    throw new BaseNameInvalid(`base-image: ${name} is on ${first}, and bases come from ${registry}`, hint)
  }
  const [path, tag] = split(isHost ? whole.slice(slash + 1) : whole, ':')
  // Docker's own registry is the only one that has official images, without a folder in their names.
  const isOfficial = !path.includes('/') && (!isHost || first === 'docker.io')
  const repository = isOfficial ? `library/${path}` : path
  const reference = digest ?? tag ?? 'latest'
  const wellFormed = digest === undefined ? /^\w[\w.-]{0,127}$/ : /^sha256:[0-9a-f]{64}$/
  if (!PATH.test(repository) || !wellFormed.test(reference) || (isHost && !HOST.test(first))) {
    const like = isAny ? 'docker://registry.example.org/team/app:1.0' : 'python:3.11-slim-bookworm'
    throw new BaseNameInvalid(
      `${isAny ? 'container image' : 'base-image'}: ${name} is no image name`,
      `it should look like ${like}`,
    )
  }
  if (OWN.test(repository))
    throw new BaseNameInvalid(
      `${name}: images below meadow/ are made here, and belong to their repositories`,
      'name another image',
    )
  if (isConfigured) return { repository, reference }
  return { host: first === 'docker.io' ? DOCKER_HUB : first, repository, reference }
}

function split(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at)
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)]
}
