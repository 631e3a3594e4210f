import type { Container } from './engine.ts'
import type { RunFrame } from './frames.ts'
import type { LauncherLink } from './launcher-link.ts'

/** Bytes that are acknowledged together, where more wait. */
const TOGETHER = 256 * 1024

/** A task under way in a container. */
export interface LiveRun {
  readonly containerId: string
  /**
   * What happens, in order; ends after the outcome. Take them from one place. Ending the loop early lets nothing go: see `detach`.
   * @throws {LauncherGone} when the container ended without an outcome
   * @throws {EngineUnavailable} when the connection is lost while it may still run: `reattach` resumes behind the last `end`
   */
  readonly frames: AsyncIterable<RunFrame>
  /** Everything before this offset is kept elsewhere; only in runs with `acknowledge: 'told'`. */
  acknowledge(offset: number): void
  /** SIGTERM to the user's process group, SIGKILL to all after the grace (milliseconds). The outcome says `cancelled`. */
  cancel(graceMs: number): void
  /** Lets go of the container: the process goes on, and `reattach` can take it up for a while. */
  detach(): void
  /** Removes the container, whatever runs in it. */
  destroy(): Promise<void>
}

/**
 * When the launcher may forget a frame: `taken`, once the next one is asked for, or `told`, by `acknowledge` alone, for
 * those who must be able to resume behind what they have stored.
 */
export type Acknowledge = 'taken' | 'told'

/** The run of a launcher that has its task. */
export function liveRun(container: Container, link: LauncherLink, acknowledge: Acknowledge): LiveRun {
  let acked = 0
  const ack = (offset: number) => {
    if (offset <= acked) return
    acked = offset
    link.send({ ack: offset })
  }
  return {
    containerId: container.id,
    frames: runFrames(link, acknowledge === 'taken' ? ack : () => {}),
    acknowledge: ack,
    cancel: (graceMs) => link.send({ cancel: { grace: graceMs / 1000 } }),
    detach: () => link.close(),
    async destroy() {
      link.close()
      await container.remove()
    },
  }

  async function* runFrames(from: LauncherLink, taken: (offset: number) => void): AsyncGenerator<RunFrame> {
    for (;;) {
      const frame = await from.next()
      // Said again when the waiting process died and has been replaced.
      if (frame.kind === 'ready') continue
      try {
        yield frame
      } finally {
        // Whoever asks for more, or has seen the outcome, is done with it.
        if (frame.kind === 'outcome' || !from.pending || frame.end - acked >= TOGETHER) taken(frame.end)
      }
      if (frame.kind === 'outcome') return
    }
  }
}
