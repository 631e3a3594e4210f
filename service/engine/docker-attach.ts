import { type Duplex, Readable } from 'node:stream'
import { type Attachment, EngineUnavailable } from './engine.ts'

const HEADER = 8
const ROOM = 256 * 1024

/**
 * Splits Docker's multiplexed stream (stream type, three zeros, length as 32 bits big endian, payload; see "Attach to
 * a container" of the Engine API) into stdout and stderr. While either has no room the socket is not read, so a slow
 * reader slows the container and memory stays flat: read both.
 */
export function demultiplex(socket: Duplex): Attachment {
  let full = 0
  const streams = [1, 2].map(() => {
    let waiting = false
    const stream = new Readable({
      highWaterMark: ROOM,
      read() {
        if (!waiting) return
        waiting = false
        full -= 1
        if (full === 0) socket.resume()
      },
    })
    // Readers see the error when they read; without a listener it would end the whole service.
    stream.on('error', () => {})
    const push = (bytes: Buffer) => {
      if (stream.destroyed || stream.push(bytes) || waiting) return
      waiting = true
      full += 1
      socket.pause()
    }
    return { stream, push }
  })
  const [stdout, stderr] = streams as [(typeof streams)[0], (typeof streams)[0]]

  const header = Buffer.alloc(HEADER)
  let have = 0
  let left = 0
  socket.on('data', (chunk: Buffer) => {
    let at = 0
    while (at < chunk.length) {
      if (left === 0) {
        const taken = chunk.copy(header, have, at, at + HEADER - have)
        have += taken
        at += taken
        if (have < HEADER) return
        have = 0
        left = header.readUInt32BE(4)
        continue
      }
      const piece = chunk.subarray(at, at + left)
      at += piece.length
      left -= piece.length
      ;(header[0] === 2 ? stderr : stdout).push(piece)
    }
  })
  let finished = false
  const finish = (error?: Error) => {
    if (finished) return
    finished = true
    for (const { stream } of streams) {
      if (error) stream.destroy(error)
      else if (!stream.destroyed) stream.push(null)
    }
  }
  socket.on('end', () => {
    if (left > 0 || have > 0) finish(new EngineUnavailable('Docker broke off the output of a container'))
    else finish()
  })
  socket.on('error', (error) => {
    finish(new EngineUnavailable(`Docker broke off the output of a container: ${error.message}`, { cause: error }))
  })
  socket.on('close', () => finish())
  return { stdin: socket, stdout: stdout.stream, stderr: stderr.stream, close: () => void socket.destroy() }
}
