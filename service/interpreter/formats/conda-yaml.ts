import { isMap, isScalar, isSeq, type YAMLMap } from 'yaml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { readYaml, type YamlFile } from './read-yaml.ts'

/** A line of text, from 1. */
export interface TextAt {
  text: string
  line: number
}

/** What an environment.yml says. */
export interface CondaYaml {
  /** As they are named, first the one that comes first. */
  channels: TextAt[]
  /** Match specs, as they are written. */
  specs: TextAt[]
  /** Lines of a requirements file. */
  pip: TextAt[]
  variables: Record<string, string>
  /** Keys that mean nothing here; conda warns of them and goes on. */
  unknown: TextAt[]
}

/** Conda's, and those that conda-lock reads beside them. */
const KEYS = new Set([
  ...['name', 'channels', 'dependencies', 'prefix', 'variables'],
  ...['platforms', 'category', 'pip-repositories'],
])
/** Selectors of mamba: https://mamba.readthedocs.io/en/latest/user_guide/micromamba.html */
const SELECTED = new Set(['sel(linux)', 'sel(unix)'])
const SELECTOR = /^sel\(\w+\)$/

/**
 * Reads an environment.yml, as written by hand or by `conda env export`.
 * @throws {EnvironmentFileError} naming the line
 */
export function parseCondaYaml(path: string, text: string): CondaYaml {
  return new Reader(path, text).read()
}

/** A YAML file whose every complaint has its line. */
class Reader {
  readonly #path: string
  readonly #yaml: YamlFile

  constructor(path: string, text: string) {
    this.#path = path
    this.#yaml = readYaml(path, text, 'Correct that line.')
  }

  read(): CondaYaml {
    const root = this.#root()
    const result: CondaYaml = {
      channels: this.#strings(root, 'channels', root.get('channels', true)),
      specs: [],
      pip: [],
      variables: this.#variables(root.get('variables', true)),
      unknown: root.items.map(({ key }) => this.#textOf(key)).filter(({ text }) => !KEYS.has(text)),
    }
    for (const item of this.#items(root, 'dependencies', root.get('dependencies', true))) this.#dependency(item, result)
    this.#indexes(root, result)
    if (result.specs.length > 0) return result
    const [other] = result.unknown
    if (other)
      throw this.#failAt(other.line, `${other.text}: there is no such key`, `Known are ${[...KEYS].join(', ')}.`)
    throw this.#fail(root, 'dependencies: nothing is listed', 'List at least python.')
  }

  #root(): YAMLMap {
    const { contents } = this.#yaml.document
    if (contents === null) throw this.#fail(undefined, 'it is empty', 'List dependencies, at least python.')
    if (isMap(contents)) return contents as YAMLMap
    throw this.#fail(contents, 'it is no mapping', 'It must hold "dependencies:" and a list below.')
  }

  #dependency(item: unknown, result: CondaYaml): void {
    if (isScalar(item) && typeof item.value === 'string' && item.value.trim() !== '') {
      result.specs.push(this.#textOf(item))
      return
    }
    const [pair] = isMap(item) && item.items.length === 1 ? item.items : []
    const key = isScalar(pair?.key) ? String(pair.key.value) : ''
    if (pair && key === 'pip') return void result.pip.push(...this.#strings(item, 'pip', pair.value))
    if (pair && SELECTOR.test(key)) {
      if (!SELECTED.has(key)) return
      const chosen = isSeq(pair.value) ? this.#strings(item, key, pair.value) : [this.#textOf(pair.value)]
      return void result.specs.push(...chosen)
    }
    throw this.#fail(item, 'dependencies: an entry is neither a package nor "pip:"', 'Write it like: - numpy=2.1')
  }

  /** Where pip looks too, as conda-lock has it. */
  #indexes(root: YAMLMap, { pip }: CondaYaml): void {
    const urls = this.#strings(root, 'pip-repositories', root.get('pip-repositories', true))
    if (pip.length === 0) return
    pip.unshift(...urls.map(({ text, line }) => ({ text: `--extra-index-url ${text}`, line })))
  }

  #variables(node: unknown): Record<string, string> {
    if (node === undefined || (isScalar(node) && node.value === null)) return {}
    if (!isMap(node)) throw this.#fail(node, 'variables: it is no mapping', 'Write NAME: value below it.')
    return Object.fromEntries(
      node.items.map(({ key, value }): [string, string] => {
        const name = isScalar(key) ? String(key.value) : ''
        const text = isScalar(value) && value.value !== null ? String(value.source ?? value.value) : undefined
        if (/^[A-Za-z_]\w*$/.test(name) && text !== undefined && !text.includes('\0')) return [name, text]
        throw this.#fail(key, `variables: ${name} is no variable with a value`, 'Write NAME: value.')
      }),
    )
  }

  #strings(parent: unknown, key: string, node: unknown): TextAt[] {
    return this.#items(parent, key, node).map((item) => {
      if (isScalar(item) && ['string', 'number'].includes(typeof item.value)) return this.#textOf(item)
      throw this.#fail(item, `${key}: an entry is no text`, 'Write one text for each line of the list.')
    })
  }

  #items(parent: unknown, key: string, node: unknown): unknown[] {
    if (node === undefined || node === null || (isScalar(node) && node.value === null)) return []
    if (isSeq(node)) return node.items
    throw this.#fail(
      node ?? parent,
      `${key}: it is no list`,
      `Write "${key}:" and below it lines that begin with "- ".`,
    )
  }

  #textOf(node: unknown): TextAt {
    const text = isScalar(node) ? String(node.source ?? node.value).trim() : ''
    return { text, line: this.#yaml.lineOf(node) ?? 1 }
  }

  #fail(node: unknown, message: string, hint: string): EnvironmentFileError {
    return this.#failAt(this.#yaml.lineOf(node), message, hint)
  }

  #failAt(line: number | undefined, message: string, hint: string): EnvironmentFileError {
    return new EnvironmentFileError(this.#path, line, message, hint)
  }
}
