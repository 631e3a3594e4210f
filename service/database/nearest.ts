import type { Domain } from '../policy/domain.ts'

/** Of rows found in several domains, the one whose domain is named first. */
export function nearest<Row extends { domain: Domain }>(domains: readonly Domain[], rows: Row[]): Row | undefined {
  return rows.toSorted((a, b) => domains.indexOf(a.domain) - domains.indexOf(b.domain))[0]
}
