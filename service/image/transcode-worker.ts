import { parentPort } from 'node:worker_threads'
import { type InstalledWheel, installWheel, type WheelSource } from './wheel.ts'
import { WheelRefused } from './wheel-refused.ts'

/** To the thread: a wheel to begin with, or that a piece was taken. */
export type ToThread = { source: WheelSource } | 'taken'

/** From the thread: pieces, then how it ended. */
export type FromThread =
  | { kind: 'piece'; bytes: Uint8Array }
  | { kind: 'done'; wheel: InstalledWheel }
  | { kind: 'refused'; entry: string | undefined; reason: string; hint: string }
  | { kind: 'failed'; error: unknown }

/** Pieces that may be under way. */
const WINDOW = 8

if (parentPort === null) throw new Error('this file is the body of a thread')
const port = parentPort
let underWay = 0
let onTaken = () => {}

port.on('message', (message: ToThread) => {
  if (message === 'taken') {
    underWay--
    onTaken()
  } else {
    void transcode(message.source)
  }
})

function send(message: FromThread, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

async function transcode(source: WheelSource): Promise<void> {
  try {
    send({ kind: 'done', wheel: await sendPieces(source) })
  } catch (error) {
    if (error instanceof WheelRefused) {
      send({ kind: 'refused', entry: error.entry, reason: error.reason, hint: error.hint })
    } else {
      send({ kind: 'failed', error })
    }
  }
}

async function sendPieces(source: WheelSource): Promise<InstalledWheel> {
  const pieces = installWheel(source)
  for (;;) {
    const next = await pieces.next()
    if (next.done) return next.value
    send({ kind: 'piece', bytes: next.value }, [next.value.buffer as ArrayBuffer])
    underWay++
    while (underWay >= WINDOW) {
      await new Promise<void>((resolve) => {
        onTaken = resolve
      })
    }
  }
}
