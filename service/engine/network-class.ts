import type { NetworkClass } from './engine.ts'

/** The class that a container gets, and what to tell its user where that is not what was wanted. */
export interface EffectiveNetwork {
  network: NetworkClass
  warning?: string
}

/**
 * What becomes of a wish on an engine that can enforce only some classes. A trusted wish for `internet` widens to
 * `open` with a warning; one that is not trusted only ever narrows.
 * @param wanted after policy: what a fork may wish for is decided before
 * @param trusted whether the code is the repository's own
 * @param enforced `networks` of the engine's info
 */
export function effectiveNetwork(wanted: NetworkClass, trusted: boolean, enforced: NetworkClass[]): EffectiveNetwork {
  if (wanted === 'none') return { network: 'none' }
  if (!trusted && wanted === 'open') {
    return {
      network: 'none',
      warning: 'network open is only for code of the repository itself: it runs without network',
    }
  }
  if (enforced.includes(wanted)) return { network: wanted }
  const why = `this engine cannot enforce network ${wanted} (needs root and iptables on the engine's own machine)`
  if (!trusted) return { network: 'none', warning: `${why}: it runs without network` }
  return { network: 'open', warning: `${why}: it runs with network open, private addresses included` }
}
