/** The interpreter that scripts are run by. */
export const INTERPRETER = '/opt/env/bin/python'

/** Shebang of a wheel's script that is to be run by whatever interpreter it is installed for; `#!pythonw` too. */
const PLACEHOLDER = Buffer.from('#!python')

/** A command that calls a function. */
export interface EntryPoint {
  /** The command's name. */
  name: string
  module: string
  /** `main`, or `Class.method` */
  attribute: string
}

/** An entry_points.txt that does not say what to call. */
export class EntryPointRefused extends Error {
  override name = 'EntryPointRefused'
}

const DOTTED = /^[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*$/u

/**
 * The commands of an entry_points.txt. The last of a name counts, as for installers that read it with
 * importlib.metadata. https://packaging.python.org/en/latest/specifications/entry-points/
 * @throws {EntryPointRefused} naming the line
 */
export function parseEntryPoints(text: string): EntryPoint[] {
  const commands = new Map<string, EntryPoint>()
  let section = ''
  for (const [index, raw] of text.split(/\r\n|[\r\n]/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    if (line.startsWith('[') && line.endsWith(']')) {
      section = line.slice(1, -1).trim()
    } else if (section === 'console_scripts' || section === 'gui_scripts') {
      const command = parseCommand(line, index + 1)
      commands.set(command.name, command)
    }
  }
  return [...commands.values()]
}

function parseCommand(line: string, number: number): EntryPoint {
  const equals = line.indexOf('=')
  const name = line.slice(0, Math.max(0, equals)).trim()
  // Extras say what the command needs, which was decided when the lock was made.
  const target = line.slice(equals + 1).replace(/\[[^\]]*\]\s*$/, '')
  const [module = '', attribute = '', ...more] = target.split(':').map((part) => part.trim())
  if (name === '' || more.length > 0 || !DOTTED.test(module) || !DOTTED.test(attribute)) {
    throw new EntryPointRefused(`line ${number}: ${JSON.stringify(line)} is not "command = module:function"`)
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[/\\\x00-\x1f\x7f]/.test(name) || name === '.' || name === '..' || name.startsWith('.wh.')) {
    throw new EntryPointRefused(`line ${number}: ${JSON.stringify(name)} is no name of a command`)
  }
  return { name, module, attribute }
}

/** The file that runs a command; what it does is what pypa/installer's launchers do. */
export function launcher({ module, attribute }: EntryPoint): Buffer {
  return Buffer.from(`#!${INTERPRETER}
# -*- coding: utf-8 -*-
import re
import sys
from ${module} import ${attribute.split('.', 1)[0]}
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit(${attribute}())
`)
}

/** Whether a script's first line is to be replaced; its first bytes will do. */
export function hasPlaceholder(script: Uint8Array): boolean {
  return PLACEHOLDER.equals(script.subarray(0, PLACEHOLDER.length))
}

/** The script with its whole first line replaced by ours. */
export function withInterpreter(script: Buffer): Buffer {
  const end = script.indexOf('\n')
  return Buffer.concat([Buffer.from(`#!${INTERPRETER}\n`), end < 0 ? Buffer.alloc(0) : script.subarray(end + 1)])
}
