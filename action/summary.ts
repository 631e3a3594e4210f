import type { PackageChange } from '../common/events.ts'
import { failure, type Report } from './report.ts'

/** GitHub takes 1 MiB a step; this much is never near it. */
const MAX_ROWS = 200
const MAX_TEXT = 2000

/**
 * The job summary of a run: how it ended, the cache verdict, what each stage took, and which packages changed and why.
 * All of it is HTML without empty lines, so that nothing in it is read as Markdown.
 */
export function summaryOf(report: Report, what: string): string {
  const { cache, stages, secondsToStart } = report
  const failed = failure(report)
  const parts = [
    `<h3>${failed ? '❌' : '✅'} <code>${escaped(what)}</code></h3>`,
    `<p>${escaped(failed ? failed.text : started(secondsToStart))}</p>`,
  ]
  if (cache) {
    const facts: [string, string][] = [
      ['Cache', `${cache.verdict}: ${cache.reason}`],
      ['Environment', cache.environment],
      ['Packages made new', String(cache['packages-new'])],
      ['Reused', size(cache['bytes-reused'])],
      ['Transferred', size(cache['bytes-transferred'])],
      ['Resolved', cache.resolved],
      ['Left open to several versions', cache.unpinned.join(', ') || 'nothing'],
      ['Image', cache.image],
    ]
    parts.push(table([], facts))
  }
  if (stages.length > 0) {
    const rows = stages.map(({ stage }) => [
      stage.name,
      stage.seconds.toFixed(3),
      stage['bytes-reused'] === undefined ? '' : size(stage['bytes-reused']),
      stage['bytes-transferred'] === undefined ? '' : size(stage['bytes-transferred']),
      stage.detail ?? '',
    ])
    parts.push(table(['Stage', 'Seconds', 'Reused', 'Transferred', ''], rows))
  }
  if (cache && cache.packages.length > 0)
    parts.push(table(['Package', 'Before', 'Now', 'Why'], cache.packages.map(row)))
  parts.push(`<p>Run <code>${escaped(report.run)}</code></p>`)
  return `${parts.join('\n')}\n\n`
}

function started(seconds: number | undefined): string {
  return seconds === undefined ? 'It went well.' : `It started after ${seconds.toFixed(3)} s and went well.`
}

function row({ name, before = '', after = '', why }: PackageChange): string[] {
  return [name, before, after, why]
}

function table(head: string[], rows: string[][]): string {
  const cells = (tag: string, texts: string[]) => texts.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')
  const shown = rows.slice(0, MAX_ROWS).map((texts) => `<tr>${cells('td', texts)}</tr>`)
  if (rows.length > MAX_ROWS) shown.push(`<tr><td>and ${rows.length - MAX_ROWS} more</td></tr>`)
  const heading = head.length > 0 ? `<tr>${cells('th', head)}</tr>` : ''
  return `<table>${heading}${shown.join('')}</table>`
}

/** Text for HTML: no markup, no line ends (an empty line would end the HTML), not too long. */
function escaped(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  return short.replace(/[&<>"']/g, (character) => entities[character] as string).replace(/\s*[\r\n]+\s*/g, '<br>')
}

/** Bytes for people. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB']
  const power = Math.min(bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3), 3)
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}
