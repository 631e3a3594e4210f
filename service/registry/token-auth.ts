import type { Dispatcher } from 'undici'
import * as z from 'zod/mini'
import { RegistryFailed } from './failed.ts'

/** A user of a registry. */
export interface RegistryCredential {
  username: string
  password: string
}

const TokenAnswer = z.object({ token: z.optional(z.string()), access_token: z.optional(z.string()) })

/** Asks a URL by GET. */
export type Ask = (url: URL, headers: Record<string, string>) => Promise<Dispatcher.ResponseData>

/**
 * The `Authorization` that a registry's challenge asks for: the credential itself, or a token to pull that its realm
 * gives for it (distribution.github.io/distribution/spec/auth/token), or to anybody.
 * @throws {RegistryFailed} when the challenge can't be met
 */
export async function tokenFor(
  challenge: string,
  repository: string,
  registry: URL,
  credential: RegistryCredential | undefined,
  ask: Ask,
): Promise<string> {
  const basic = credential && `Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}`
  if (/^basic\b/i.test(challenge) && basic !== undefined) return basic
  const realm = parameter(challenge, 'realm')
  if (!/^bearer\b/i.test(challenge) || realm === undefined || !URL.canParse(realm)) {
    throw new RegistryFailed(`${registry.host} refuses to show ${repository} without a credential`, 401)
  }
  const url = new URL(realm)
  if (url.protocol !== 'https:' && url.protocol !== registry.protocol) {
    throw new RegistryFailed(`${registry.host} names ${url.origin} for its tokens, which is not https`, 401)
  }
  const service = parameter(challenge, 'service')
  if (service !== undefined) url.searchParams.set('service', service)
  url.searchParams.set('scope', `repository:${repository}:pull`)
  const answer = await ask(url, basic === undefined ? {} : { authorization: basic })
  if (answer.statusCode !== 200) {
    await answer.body.dump()
    throw new RegistryFailed(`${url.origin} answers ${answer.statusCode} for a token to pull ${repository}`, 401)
  }
  const parsed = TokenAnswer.safeParse(await answer.body.json())
  const token = parsed.data?.token ?? parsed.data?.access_token
  if (token === undefined) throw new RegistryFailed(`${url.origin} gives no token to pull ${repository}`, 401)
  return `Bearer ${token}`
}

function parameter(challenge: string, name: string): string | undefined {
  return new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(challenge)?.[1]
}
