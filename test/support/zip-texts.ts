import { execFileSync } from 'node:child_process'

const PROGRAM =
  'import json, sys, zipfile\nzip = zipfile.ZipFile(sys.argv[1])\nprint(json.dumps({name: zip.read(name).decode("latin-1") for name in zip.namelist()}))'

/** The files of a zip as text, by the independent reader of Python. */
export function zipTexts(file: string): Map<string, string> {
  return new Map(Object.entries(JSON.parse(execFileSync('python3', ['-c', PROGRAM, file]).toString())))
}
