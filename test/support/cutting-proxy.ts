import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** A TCP proxy that breaks connections. */
export interface CuttingProxy {
  url: string
  /** How often it broke one. */
  cuts: number
  /** Breaks all that are open. */
  cut(): void
}

/**
 * Stands before a port of the loopback until the test ends.
 * @param most bytes of answers after which a connection is broken, in the middle of whatever comes; so many more after
 *   each cut, so that all comes through in the end
 */
export async function cuttingProxy(t: Pick<TestContext, 'after'>, port: number, most: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket)
    return socket.on('close', () => sockets.delete(socket)).on('error', () => {})
  }
  const proxy: CuttingProxy = {
    url: '',
    cuts: 0,
    cut: () => {
      for (const socket of sockets) socket.resetAndDestroy()
    },
  }
  const server = createServer((near) => {
    const far = keep(createConnection({ host: '127.0.0.1', port }))
    keep(near)
    let left = most * (proxy.cuts + 1)
    near.pipe(far)
    far.on('data', (chunk: Buffer) => {
      const piece = chunk.subarray(0, left)
      left -= piece.length
      near.write(piece)
      if (left > 0) return
      proxy.cuts++
      near.end()
      far.destroy()
    })
    far.on('end', () => near.end())
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroySoon())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    proxy.cut()
    server.close()
    await once(server, 'close')
  })
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return proxy
}
