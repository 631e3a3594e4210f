import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Agent, request } from 'undici'
import { createFetcher, type Fetcher, type FetchLimits } from '../../service/fetch/fetcher.ts'
import { guardedLookup } from '../../service/fetch/url-guard.ts'

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 251))
const SHA256 = createHash('sha256').update(CONTENT).digest('hex')
const LIMITS = { backoff: 1, stall: 2000, attempts: 4 }

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server whose behaviour each test chooses, and a fetcher that knows it as its index. */
let handler: Handler
let base: string
let folder: string
let fetcher: Fetcher
let seen: IncomingMessage[]
const cleanups: (() => unknown)[] = []

function fetcherFor(allowedHosts: string[], limits: Partial<FetchLimits> = {}, credentials?: Record<string, string>) {
  const made = createFetcher({
    allowedHosts,
    folder,
    limits: { ...LIMITS, ...limits },
    ...(credentials ? { credentials } : {}),
  })
  cleanups.push(() => made.close())
  return made
}

async function serve(handle: Handler): Promise<string> {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fetch-'))
  seen = []
  const host = await serve((request, response) => {
    seen.push(request)
    handler(request, response)
  })
  base = `http://${host}`
  fetcher = fetcherFor([host])
})

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
  assert.deepEqual(await readdir(folder), [], 'files were left behind')
  await rm(folder, { recursive: true })
})

function download(path = '/six.whl', more: { sha256?: string; size?: number } = {}) {
  return { name: 'six', url: path.startsWith('/') ? base + path : path, ...more }
}

/** Serves what is asked for by Range, `cut` bytes at most before the connection is dropped. */
function ranged(cut = Number.POSITIVE_INFINITY, headers: Record<string, string> = { etag: '"one"' }): Handler {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const length = CONTENT.length - start
    const range = { 'content-range': `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}` }
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': length, ...headers, ...(start > 0 ? range : {}) })
    if (length <= cut) return void response.end(CONTENT.subarray(start))
    response.write(CONTENT.subarray(start, start + cut), () => response.socket?.destroySoon())
  }
}

const redirect =
  (location: string, status = 302): Handler =>
  (_, response) =>
    void response.writeHead(status, { location }).end('elsewhere')

async function fails(url: string, more = {}): Promise<Error & { hint: string; retryable?: boolean }> {
  return fetcher.fetch(download(url, more)).then(
    async (fetched) => {
      await fetched[Symbol.asyncDispose]()
      return assert.fail(`${url} was fetched`)
    },
    (error) => error,
  )
}

describe('what arrives', () => {
  test('a file, verified, with progress, removed when it is disposed of', async () => {
    handler = ranged()
    const progress: number[] = []
    {
      const expected = { sha256: SHA256, size: CONTENT.length }
      await using fetched = await fetcher.fetch(download('/a', expected), {
        onProgress: (bytes) => progress.push(bytes),
      })
      assert.deepEqual(await readFile(fetched.file), CONTENT)
      assert.equal(fetched.sha256, SHA256)
      assert.equal(fetched.size, CONTENT.length)
    }
    assert.equal(progress.at(-1), CONTENT.length)
    assert.equal(seen[0]?.headers['accept-encoding'], 'identity')
    assert.deepEqual(await readdir(folder), [])
  })

  test('what stands for an address is asked, in its place', async () => {
    handler = ranged()
    const [mirrors, allowedHosts] = [{ 'https://files.example.com/six/': `${base}/mirror/` }, [new URL(base).host]]
    fetcher = createFetcher({ allowedHosts, folder, limits: LIMITS, mirrors })
    cleanups.push(() => fetcher.close())
    await using fetched = await fetcher.fetch(download('https://files.example.com/six/1.0/six.whl'))
    assert.deepEqual([fetched.sha256, seen[0]?.url], [SHA256, '/mirror/1.0/six.whl'])
  })

  test('a cut connection is resumed where it broke off', async () => {
    handler = ranged(120_000)
    fetcher = fetcherFor([new URL(base).host], { attempts: 50 })
    await using fetched = await fetcher.fetch(download('/a', { sha256: SHA256 }))
    assert.equal(fetched.size, CONTENT.length)
    const starts = seen.map(({ headers }) => Number(/^bytes=(\d+)-$/.exec(headers.range ?? 'bytes=0-')?.[1]))
    assert.ok(starts.length > 2)
    // How much of what was on its way is lost differs.
    assert.deepEqual(
      starts,
      starts.toSorted((one, other) => one - other),
    )
    for (const { headers } of seen.filter(({ headers }) => headers.range)) assert.equal(headers['if-range'], '"one"')
  })

  test('a server without ranges sends it anew', async () => {
    let requests = 0
    handler = (request, response) => {
      delete request.headers.range
      ranged(requests++ === 0 ? 100_000 : undefined)(request, response)
    }
    await using fetched = await fetcher.fetch(download('/a', { sha256: SHA256 }))
    assert.deepEqual(await readFile(fetched.file), CONTENT)
  })

  test('a range that can no longer be had begins anew', async () => {
    let requests = 0
    handler = (request, response) => {
      requests++
      if (requests === 2) return void response.writeHead(416).end()
      ranged(requests === 1 ? 100_000 : undefined)(request, response)
    }
    await using fetched = await fetcher.fetch(download('/a', { sha256: SHA256 }))
    assert.equal(fetched.size, CONTENT.length)
    assert.equal(seen[2]?.headers.range, undefined)
  })

  test('a server that is busy is asked again', async () => {
    let requests = 0
    handler = (request, response) => {
      if (requests++ < 2) return void response.writeHead(503).end()
      ranged()(request, response)
    }
    await using fetched = await fetcher.fetch(download())
    assert.equal(fetched.sha256, SHA256)
  })

  test('redirects are followed', async () => {
    handler = (request, response) =>
      request.url === '/a' ? redirect('/b', 308)(request, response) : ranged()(request, response)
    await using fetched = await fetcher.fetch(download('/a'))
    assert.equal(fetched.size, CONTENT.length)
  })

  test('no more than some at a time', async () => {
    let open = 0
    let most = 0
    handler = (request, response) => {
      most = Math.max(most, ++open)
      response.on('close', () => open--)
      setImmediate(() => ranged()(request, response))
    }
    const narrow = fetcherFor([new URL(base).host], { parallel: 2 })
    const all = await Promise.all(Array.from({ length: 7 }, () => narrow.fetch(download())))
    for (const fetched of all) await fetched[Symbol.asyncDispose]()
    assert.ok(most <= 2, `${most} at a time`)
  })
})

describe('what is refused', () => {
  for (const [url, why] of [
    ['file:///etc/passwd', 'is not an https: URL'],
    ['http://example.org/six.whl', 'is not an https: URL'],
    ['ftp://example.org/six.whl', 'is not an https: URL'],
    ['https://127.0.0.1/six.whl', 'leads to a private address'],
    ['https://2130706433/six.whl', 'leads to a private address'],
    ['https://0x7f.1/six.whl', 'leads to a private address'],
    ['https://[::ffff:10.0.0.1]/six.whl', 'leads to a private address'],
    ['https://169.254.169.254/latest/meta-data', 'leads to a private address'],
    ['https://localhost./six.whl', 'leads to a private address'],
    ['https://user:secret@example.org/six.whl?token=secret', 'holds a user name or password'],
    ['six.whl', 'is no URL'],
  ] as const) {
    test(url, async () => {
      const error = await fails(url)
      assert.equal(error.name, 'FetchRefused')
      assert.ok(error.message.startsWith('six: ') && error.message.endsWith(why), error.message)
      assert.doesNotMatch(error.message, /secret/)
    })
    if (!url.includes(':')) continue
    test(`a redirect to ${url}`, async () => {
      handler = redirect(url)
      assert.equal((await fails('/a')).name, 'FetchRefused')
      assert.equal(seen.length, 1)
    })
  }

  test('an artifact without a URL', async () => {
    await assert.rejects(fetcher.fetch({ name: 'six' }), /six: its place in the lock is no URL/)
  })

  test('another port of a configured host', async () => {
    const other = await serve(ranged())
    assert.equal((await fails(`http://${other}/six.whl`)).name, 'FetchRefused')
    handler = redirect(`http://${other}/six.whl`)
    assert.equal((await fails('/a')).name, 'FetchRefused')
  })

  test('a name that resolves to the loopback, when it is connected to', async () => {
    handler = ranged()
    const agent = new Agent({ connect: { lookup: guardedLookup } })
    cleanups.push(() => agent.destroy())
    const url = base.replace('127.0.0.1', 'localhost')
    await assert.rejects(request(url, { dispatcher: agent }), /PrivateAddress|localhost is/)
    assert.equal(seen.length, 0)
  })

  test('another hash', async () => {
    handler = ranged()
    const error = await fails('/six.whl', { sha256: '0'.repeat(64) })
    assert.equal(error.name, 'HashMismatch')
    assert.equal(error.message, `six: ${base}/six.whl has sha256 ${SHA256}, not ${'0'.repeat(64)}`)
  })

  test('more bytes than the lock says, announced or not, or than any artifact may have', async () => {
    handler = ranged()
    assert.match((await fails('/a', { size: 1000 })).message, /has more than the 1000 bytes that the lock says/)
    handler = (_, response) => {
      response.write(CONTENT)
      response.end()
    }
    assert.match((await fails('/a', { size: 1000 })).message, /has more than the 1000 bytes/)
    fetcher = fetcherFor([new URL(base).host], { maxBytes: 100_000 })
    assert.match((await fails('/a')).message, /has more than 100000 bytes/)
  })
})

describe('what fails', () => {
  test('a connection that is always cut', async () => {
    handler = ranged(10)
    const error = await fails('/six.whl')
    assert.equal(error.name, 'FetchFailed')
    assert.ok(error.retryable)
    assert.match(error.message, /broke off after \d+ bytes.*4 attempts/)
  })

  test('an answer that ends early and says nothing', async () => {
    handler = (_, response) => void response.end('short')
    const error = await fails('/six.whl', { size: CONTENT.length })
    assert.match(error.message, /it ended after 5 of 300000 bytes, 4 attempts/)
  })

  test('a server that goes silent', async () => {
    handler = (_, response) => void response.writeHead(200, { 'content-length': 10 }).write('x')
    fetcher = fetcherFor([new URL(base).host], { stall: 100, attempts: 2 })
    assert.match((await fails('/a')).message, /broke off after 1 bytes.*2 attempts/)
  })

  test('a part that was not asked for', async () => {
    let requests = 0
    handler = (request, response) => {
      if (requests++ === 0) return ranged(100_000)(request, response)
      response.writeHead(206, { 'content-range': 'bytes 5-9/300000' }).end('12345')
    }
    assert.match((await fails('/a')).message, /another part than was asked for/)
  })

  test('nobody there, nothing there, a circle', async () => {
    handler = (_, response) => void response.writeHead(404).end('gone')
    const gone = await fails('/six.whl?signature=secret')
    assert.equal(gone.message, `six: ${base}/six.whl could not be fetched: the server answered 404`)
    assert.equal(gone.retryable, false)
    handler = redirect('/a')
    assert.match((await fails('/a')).message, /more than 5 redirects/)
    assert.equal(seen.length, 1 + 6)
    fetcher = fetcherFor(['127.0.0.1:9'], { attempts: 2 })
    assert.match((await fails('http://127.0.0.1:9/a')).message, /ECONNREFUSED.*2 attempts/)
  })

  test('aborted, while waiting and while fetching', async () => {
    handler = (_, response) => void response.writeHead(200, { 'content-length': 10 }).write('x')
    const narrow = fetcherFor([new URL(base).host], { parallel: 1 })
    const abort = new AbortController()
    const both = [1, 2].map(() => narrow.fetch(download(), { signal: abort.signal, onProgress: () => abort.abort() }))
    for (const result of await Promise.allSettled(both)) assert.equal(result.status, 'rejected')
  })
})

describe('credentials', () => {
  test('go to their own host only', async () => {
    const strangers: IncomingMessage[] = []
    const other = await serve((request, response) => {
      strangers.push(request)
      ranged()(request, response)
    })
    const host = new URL(base).host
    const knowing = fetcherFor([host, other], {}, { [host]: 'Basic c2VjcmV0' })
    handler = redirect(`http://${other}/six.whl`)
    await using _ = await knowing.fetch(download())
    assert.equal(seen[0]?.headers.authorization, 'Basic c2VjcmV0')
    assert.equal(strangers[0]?.headers.authorization, undefined)
  })
})
