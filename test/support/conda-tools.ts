import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../../machine/command.ts'
import { cacheFolder } from '../../machine/stand-ins.ts'
import { claimed } from './claimed.ts'

const INSTALLER = join(import.meta.dirname, 'conda_install.py')
const SOLVER = join(import.meta.dirname, 'conda_solver.py')
const NEEDS = ['conda-lock==4.0.3', 'py-rattler==0.28.0']
/** Milliseconds that each step may take. */
const TIMEOUT = 300_000

/** What conda-lock makes of environment files. */
export interface CondaLocked {
  /** conda-lock.yml */
  unified: string
  /** conda-linux-64.lock, of the categories main and dev. */
  explicit: string
  /** conda-linux-64.lock.yml, likewise. */
  environment: string
}

/** Locks environment files, by their names, for linux-64 by conda-lock itself, with rattler in place of conda's solver. */
export async function condaLocked(files: Record<string, string>): Promise<CondaLocked> {
  const tools = await installed()
  const folder = await mkdtemp(join(tmpdir(), 'meadow-conda-lock-'))
  const at = (name: string) => join(folder, name)
  try {
    await writeFile(at('conda'), `#!/bin/sh\nexec ${tools}/bin/python -I ${SOLVER} "$@"\n`, { mode: 0o755 })
    // Which packages of conda are which of pip: asked from far away, where no file is given.
    await writeFile(at('lookup.json'), '{}')
    const simple = 'from pip._internal.models.index import PyPI; print(PyPI.simple_url + "/")'
    const index = await runCommand(`${tools}/bin/python`, ['-c', simple], { timeout: TIMEOUT })
    // The index's other protocols are not to be had everywhere.
    for (const [name, text] of Object.entries(files))
      await writeFile(at(name), `pip-repositories: [${index.trim()}]\n${text}`)
    const run = async (...args: string[]) =>
      await runCommand(`${tools}/bin/conda-lock`, args, { cwd: folder, timeout: TIMEOUT })
    const sources = Object.keys(files).flatMap((name) => ['--file', name])
    const lookup = `file://${at('lookup.json')}`
    await run('lock', '--conda', at('conda'), '-p', 'linux-64', '--pypi_to_conda_lookup_file', lookup, ...sources)
    await run('render', '-p', 'linux-64', '-k', 'explicit', '--dev-dependencies')
    await run('render', '-p', 'linux-64', '-k', 'env', '--dev-dependencies')
    return {
      unified: await readFile(at('conda-lock.yml'), 'utf8'),
      explicit: await readFile(at('conda-linux-64.lock'), 'utf8'),
      environment: await readFile(at('conda-linux-64.lock.yml'), 'utf8'),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Installs a conda environment into a folder of this machine, as conda does. */
export async function condaInstalled(prefix: string, channel: string, ...specs: string[]): Promise<void> {
  const python = `${await installed()}/bin/python`
  await runCommand(python, ['-I', INSTALLER, prefix, channel, ...specs], { timeout: TIMEOUT })
}

/** The folder of a Python with the tools, made where it is missing and kept for the next time. */
async function installed(): Promise<string> {
  const key = createHash('sha256').update(NEEDS.join()).digest('hex').slice(0, 16)
  const all = join(cacheFolder(), 'conda-lock')
  const folder = join(all, key)
  const release = await claimed(all)
  try {
    if (existsSync(join(folder, 'whole'))) return folder
    // Programs of a virtual environment know its path: it is made where it stays.
    await rm(folder, { recursive: true, force: true })
    await runCommand('python3', ['-m', 'venv', folder], { timeout: TIMEOUT })
    await runCommand(join(folder, 'bin/python'), ['-m', 'pip', 'install', '-q', ...NEEDS], { timeout: TIMEOUT })
    await writeFile(join(folder, 'whole'), '')
    return folder
  } finally {
    release()
  }
}
