import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'

/** Says whether a signature is that of a body under the secret (GitHub, "validating webhook deliveries"). */
export function signatureCheck(secret: string): (body: Buffer, signature: string) => boolean {
  const key = createSecretKey(secret, 'utf8')
  return (body, signature) => {
    const right = Buffer.from(`sha256=${createHmac('sha256', key).update(body).digest('hex')}`)
    const given = Buffer.from(signature)
    return given.length === right.length && timingSafeEqual(given, right)
  }
}
