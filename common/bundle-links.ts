import { BundleRefused } from './bundle-refused.ts'

/** As Linux: after this many links it gives up with ELOOP, so that such a path leads nowhere. */
const MAX_HOPS = 40
/** Parts of paths looked at, for all links together. Real trees need thousands. */
const MAX_STEPS = 20_000_000

/**
 * Checks that every symbolic link of a tree stays inside it, followed through other links as Linux would. Links to what
 * is not there, and links that go in circles, lead nowhere and are kept.
 * @param links target by path
 * @throws {BundleRefused} that names the first link at fault and its target
 */
export function checkLinks(links: ReadonlyMap<string, string>): void {
  const budget = { steps: MAX_STEPS }
  for (const [path, target] of links) {
    if (target === '' || target.includes('\0') || Buffer.byteLength(target) > 4095) {
      throw new BundleRefused('link', path, 'is a link without a valid target', FIX)
    }
    if (leadsOutside(path, links, budget)) {
      const message = `is a link that leads outside the repository: to ${JSON.stringify(target)}`
      throw new BundleRefused('link', path, message, FIX)
    }
  }
}

/** The links of a tree that `checkLinks` would refuse. */
export function outsideLinks(links: ReadonlyMap<string, string>): string[] {
  const budget = { steps: MAX_STEPS }
  return [...links.keys()].filter((path) => links.get(path) === '' || leadsOutside(path, links, budget))
}

/**
 * The place of a path once all links on the way are followed, as Linux would.
 * @returns undefined where they lead outside or go in circles
 */
export function realPath(path: string, links: ReadonlyMap<string, string>): string | undefined {
  const end = walk(path, links, { steps: MAX_STEPS })
  return end === 'outside' || end === 'circle' ? undefined : end.at.join('/')
}

const FIX = 'Take the link out of the commit, or let it point to a path inside the repository.'

function leadsOutside(path: string, links: ReadonlyMap<string, string>, budget: { steps: number }): boolean {
  return walk(path, links, budget) === 'outside'
}

function walk(
  path: string,
  links: ReadonlyMap<string, string>,
  budget: { steps: number },
): { at: string[] } | 'outside' | 'circle' {
  const at: string[] = []
  // What is left to walk, the next part last.
  const todo = path.split('/').reverse()
  let hops = 0
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (--budget.steps < 0) {
      throw new BundleRefused('link', path, 'is one of too many links through links', 'Commit fewer links.')
    }
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (at.pop() === undefined) return 'outside'
      continue
    }
    at.push(part)
    const link = links.get(at.join('/'))
    if (link === undefined) continue
    if (++hops > MAX_HOPS) return 'circle'
    if (link.startsWith('/')) return 'outside'
    at.pop()
    todo.push(...link.split('/').reverse())
  }
  return { at }
}
