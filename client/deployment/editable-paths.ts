import { existsSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { LocalPackage } from './local-interpreter.ts'

/**
 * The folders that an editable install's import hook stands for: those that hold its packages under their own names.
 * @param say is told of what can't be found on the other side
 */
export function editablePaths({ name, mapping, hook }: LocalPackage, say: (line: string) => void): string[] {
  if (hook)
    say(
      `${name} is found by an import hook of a kind that is not known (${hook}): it is mirrored as far as it lies in other folders of sys.path.`,
    )
  const folders = new Set<string>()
  for (const [module, path] of Object.entries(mapping ?? {})) {
    const parts = module.split('.')
    const folder = resolve(path, ...parts.map(() => '..'))
    if (join(folder, ...parts) === resolve(path) && existsSync(folder)) folders.add(realpathSync(folder))
    else say(`${module} of ${name} lies in ${path}, under another name: it can't be imported on the other side.`)
  }
  return [...folders]
}
