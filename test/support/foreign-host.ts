import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { type GitHost, serveGit } from './git-http.ts'
import { temporaryFolder } from './repositories.ts'

/** A git host by https: somewhere in the world, with a certificate of an authority that only this test knows. */
export interface ForeignHost extends GitHost {
  /** The authority's own certificate. */
  ca: string
}

const NAME = 'git.example.org'
const run = promisify(execFile)

/** Serves repositories below a folder as `https://git.example.org/`, which is reached by the proxy of the environment. */
export async function foreignHost(t: TestContext, folder: string): Promise<ForeignHost> {
  const at = await temporaryFolder(t)
  const ca = await certificates(at)
  const [key, cert] = await Promise.all([readFile(join(at, 'host.key')), readFile(join(at, 'host.pem'))])
  const host = await serveGit(t, folder, { key, cert })
  const { port } = host.url
  const proxy = createServer()
  proxy.on('connect', (_request, client) => {
    const there = connect(Number(port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connected\r\n\r\n')
      client.pipe(there).pipe(client)
    })
    there.on('error', () => client.destroy())
    client.on('error', () => there.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  process.env.HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  t.after(() => {
    delete process.env.HTTPS_PROXY
    proxy.closeAllConnections()
    proxy.close()
  })
  return Object.assign(host, { ca, url: new URL(`https://${NAME}/`) })
}

/** An authority, and a certificate of it for the host. The authority's file. */
async function certificates(at: string): Promise<string> {
  const file = (name: string) => join(at, name)
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout']
  await writeFile(file('names'), `subjectAltName=DNS:${NAME}`)
  await run('openssl', [
    'req',
    '-x509',
    ...key,
    file('ca.key'),
    '-out',
    file('ca.pem'),
    '-subj',
    '/CN=Ours',
    '-days',
    '2',
  ])
  await run('openssl', ['req', ...key, file('host.key'), '-out', file('host.csr'), '-subj', `/CN=${NAME}`])
  const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2']
  const request = ['-req', '-in', file('host.csr'), '-extfile', file('names'), '-out', file('host.pem')]
  await run('openssl', ['x509', ...request, ...signed])
  return file('ca.pem')
}
