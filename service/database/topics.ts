import type { Topic } from './database.ts'

/** Subscribers look again after this long though nobody told them: another process may have written. */
const SAFETY_POLL_MS = 5000

/** Who wants to hear of what, in this process. */
export class Topics {
  readonly #subscribers = new Map<Topic, Set<() => void>>()

  subscribe(topic: Topic, heard: () => void): () => void {
    const subscribers = this.#subscribers.get(topic) ?? new Set()
    this.#subscribers.set(topic, subscribers)
    // The same function may be subscribed twice: each needs an entry of its own.
    const entry = () => heard()
    subscribers.add(entry)
    const poll = setInterval(entry, SAFETY_POLL_MS).unref()
    return () => {
      clearInterval(poll)
      subscribers.delete(entry)
      if (subscribers.size === 0 && this.#subscribers.get(topic) === subscribers) this.#subscribers.delete(topic)
    }
  }

  /** Calls each subscriber in a microtask of its own: one that throws harms neither the others nor the writer. */
  notify(topic: Topic): void {
    for (const heard of this.#subscribers.get(topic) ?? []) queueMicrotask(heard)
  }
}
