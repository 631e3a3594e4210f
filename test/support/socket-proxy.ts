import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A Unix socket in front of another one, which a test can take away and give back. */
export interface SocketProxy {
  readonly path: string
  /** Cuts every connection and refuses new ones. */
  cut(): Promise<void>
  /** Takes connections but passes nothing on, like an engine that hangs. */
  hang(): Promise<void>
  /** Works again. */
  mend(): Promise<void>
  /** Ends it and removes its socket. */
  remove(): Promise<void>
}

export async function socketProxy(target: string): Promise<SocketProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'proxy-'))
  const path = join(folder, 'socket')
  const sockets = new Set<Socket>()
  let server: Server | undefined
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    return socket
  }
  const cut = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => (server?.listening ? server.close(resolve) : resolve(undefined)))
  }
  const listen = async (take: (socket: Socket) => void) => {
    await cut()
    server = createServer({ allowHalfOpen: true }, (socket) => take(keep(socket)))
    await new Promise<void>((resolve) => server?.listen(path, resolve))
  }
  const mend = () =>
    listen((near) => {
      const far = keep(createConnection({ path: target, allowHalfOpen: true }))
      near.pipe(far).pipe(near)
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
    })
  await mend()
  return {
    path,
    cut,
    hang: () => listen(() => {}),
    mend,
    async remove() {
      await cut()
      await rm(folder, { recursive: true })
    },
  }
}
