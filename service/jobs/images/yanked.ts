import type { Builder } from '../../builder/builder.ts'
import { locate, yankedIsUnsaid } from '../../interpreter/formats.ts'
import type { Lock } from '../../interpreter/lock.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import { reporting, type WorkContext } from '../events/journal.ts'

/** So many packages are named, of which nothing is known. */
const NAMED = 3

/**
 * Tells what of an environment was yanked after it was locked, where its format leaves that open. Nobody's build fails
 * for that, or because it can't be asked.
 * @param before the lock of the image that it is compared with: what was in it is told of already
 */
export async function tellYanked(
  builder: Builder,
  { order, locked, before }: { order: ImageOrder; locked: Locked; before: Lock | undefined },
  context: WorkContext,
): Promise<void> {
  const { spec, domain } = order
  if (!yankedIsUnsaid(spec)) return
  const { artifacts, conda } = locked.lock
  const there = new Set(before?.artifacts.map(({ name, version }) => `${name} ${version}`))
  // What was resolved on top of conda packages has an index; of that it was said then.
  const open = conda ? artifacts.filter(({ index }) => index === undefined) : artifacts
  const added = open.filter(({ name, version }) => !there.has(`${name} ${version}`))
  const { journal } = context
  try {
    const { yanked, unknown } = await builder.yanked(added, locked.probe, { ...reporting(context), domain })
    for (const { name, text } of yanked) {
      const place = locate(spec, name)
      journal.note(place ? `${place.file}:${place.line}: ${text}` : text)
    }
    for (const { names, why } of unknown) journal.note(`${notKnown(names)}: ${why}`)
  } catch (error) {
    if (context.signal.aborted) return
    journal.note(`whether packages were yanked is not known: ${error instanceof Error ? error.message : error}`)
  }
}

function notKnown(names: string[]): string {
  const more = names.length - NAMED
  const listed = [...names.slice(0, NAMED), ...(more > 0 ? [`${more} more`] : [])].join(', ')
  return `whether ${listed} ${names.length === 1 ? 'was' : 'were'} yanked is not known`
}
