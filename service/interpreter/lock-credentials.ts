import { withoutCredentials } from '../../common/without-credentials.ts'
import type { Lock } from './lock.ts'
import { ResolutionFailed } from './resolution.ts'
import type { InterpreterSpec } from './spec.ts'

/**
 * Makes sure that a lock holds no credentials, before it is kept and shown. Lock files that users bring may have them in
 * the URLs of files and repositories.
 * @throws {ResolutionFailed} naming the line of the user's file
 */
export function checkCredentials(lock: Lock, { path, files }: InterpreterSpec): void {
  const url = /https?:\/\/[^/?#\s"']*@[^?#\s"']*/i.exec(lock.text)?.[0]
  if (url === undefined) return
  const [file = path, text = ''] = Object.entries(files).find(([, each]) => each.includes(url)) ?? []
  const index = text.indexOf(url)
  throw new ResolutionFailed(
    file,
    index < 0 ? undefined : text.slice(0, index).split('\n').length,
    `${withoutCredentials(url)} holds a user name or password`,
    'Take it out of what the lock is made from, and make the lock anew; credentials come in a later version.',
  )
}
