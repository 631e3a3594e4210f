import type { Report } from './options.ts'

/** What uv says of its work where it builds. By itself it names no package whose build hangs, nor a project without a name. */
export const UV_LOG = 'uv_distribution::source=debug'
const NOTE = /^DEBUG /
const BUILDING = /^DEBUG Preparing metadata for: (.+)$/

/** What uv says on stderr: which packages it builds, and why it fails. */
export class UvLog {
  /** As uv names them: `old==1.0`, `old @ ./old`, `./old`. */
  readonly #building: string[] = []
  readonly #report: Report
  readonly #folder: string

  /** @param folder that uv works in; paths are said from there */
  constructor(folder: string, report: Report) {
    this.#folder = folder
    this.#report = report
  }

  /** Takes a line as it comes. */
  readonly take = (line: string): void => {
    const [, building] = BUILDING.exec(line) ?? []
    if (building !== undefined) {
      this.#building.push(this.#inFolder(building))
      this.#report(`building the metadata of ${this.#building.at(-1)}`)
    } else if (!NOTE.test(line)) this.#report(line)
  }

  /** The words in which it failed, with the package. */
  failure(log: string): string {
    const said = this.#words(log)
    if (!/^error: The build backend returned an error/.test(said)) return said
    const projects = this.#building.filter((each) => each.startsWith('.'))
    return said.replace(/^error: /, `${failedToBuild(projects)}\n  cause: `)
  }

  /** The words for a build that was ended. */
  ended(why: string, log: string): string {
    const said = this.#words(log).trim()
    const last = this.#building.slice(-1)
    return [`${last.length > 0 ? `${failedToBuild(last)}\n  cause: ` : ''}${why}`, said].join('\n').trim()
  }

  #words(log: string): string {
    const lines = log.split('\n').filter((line) => !NOTE.test(line))
    return this.#inFolder(lines.join('\n'))
  }

  #inFolder(text: string): string {
    const project = new RegExp(`file://${this.#folder}(/[^\\s\`]*)?`, 'g')
    return text.replace(project, (_, path = '') => `.${decodeURI(path)}`).replaceAll(`${this.#folder}/`, '')
  }
}

/** As uv says it. */
function failedToBuild(packages: string[]): string {
  return `Failed to build ${packages.length > 1 ? 'one of ' : ''}${packages.map((each) => `\`${each}\``).join(', ')}`
}
