import * as z from 'zod/mini'
import { BrokenFrames } from './frames.ts'

/**
 * An answer of a container that reads what strangers wrote.
 * @throws {BrokenFrames} where it has another shape
 */
export function credible<T extends z.ZodMiniType>(schema: T, answer: unknown): z.infer<T> {
  const parsed = z.safeParse(schema, answer)
  if (parsed.success) return parsed.data
  throw new BrokenFrames('what it says of a solution is not credible')
}
