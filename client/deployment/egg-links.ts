import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { normalizeName } from '../../common/package-name.ts'
import type { LocalInterpreter, LocalPackage } from './local-interpreter.ts'

/**
 * What older pips installed editable, of projects with a setup.py: `NAME.egg-link` in site-packages leads to the folder
 * of the sources, where `NAME.egg-info` says that it is installed. Most projects let git ignore that.
 */
export function eggLinks(python: LocalInterpreter): LocalPackage[] {
  return sitesOf(python).flatMap((site) =>
    readdirSync(site)
      .filter((name) => name.endsWith('.egg-link'))
      .flatMap((name) => linked(site, name)),
  )
}

function sitesOf({ prefix, version, packages }: LocalInterpreter): string[] {
  const own = [join(prefix, 'lib', `python${version}`, 'site-packages'), join(prefix, 'Lib', 'site-packages')]
  return [...new Set([...own, ...packages.map(({ site }) => site)])].filter(isFolder)
}

/** Zipped eggs are sites of their own. */
function isFolder(site: string): boolean {
  return statSync(site, { throwIfNoEntry: false })?.isDirectory() === true
}

/** The folder is in the first line of the link. A link that leads nowhere is none to Python either. */
function linked(site: string, link: string): LocalPackage[] {
  const [line = ''] = readFileSync(join(site, link), 'utf8').split(/\r?\n/)
  const folder = resolve(site, line.trim())
  const name = link.slice(0, -'.egg-link'.length)
  const info = existsSync(folder) ? readdirSync(folder).find((each) => isInfoOf(each, name)) : undefined
  if (info === undefined) return []
  const files = readdirSync(join(folder, info)).map((file) => `${info}/${file}`)
  return [{ name, version: '', installer: 'setuptools', site: folder, files }]
}

function isInfoOf(folder: string, name: string): boolean {
  return folder.endsWith('.egg-info') && normalizeName(folder.slice(0, -'.egg-info'.length)) === normalizeName(name)
}
