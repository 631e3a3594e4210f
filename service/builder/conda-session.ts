import type { KeptStep } from './kept-steps.ts'

/** A container of rattler, and what it has. */
export interface CondaSession extends KeptStep {
  /** Numbers of channels there, by URL. */
  channels: Map<string, number>
  /** Digests of what channels offer, by number and platform. */
  sent: Map<string, string>
}
