import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import Docker from 'dockerode'
import type { BuilderContext } from '../../service/builder/context.ts'
import { Step } from '../../service/builder/step.ts'
import { STEP, testBase } from './builder.ts'

/**
 * What a version of poetry is installed with. The plugin has it ask an index by the standard protocol; the oldest have
 * none, and need a Python that is old too.
 */
const TOOLS: Record<PoetryVersion, string[]> = {
  '1.0': ['poetry==1.0.10'],
  '1.1': ['poetry==1.1.15'],
  '1.2': ['poetry==1.2.2', 'poetry-plugin-pypi-mirror==0.2.0', 'setuptools<80'],
  '1.8': ['poetry==1.8.5', 'poetry-plugin-pypi-mirror==0.4.2', 'setuptools<80'],
  '2.5': ['poetry==2.5.1', 'poetry-plugin-pypi-mirror==0.6.5'],
}

export type PoetryVersion = '1.0' | '1.1' | '1.2' | '1.8' | '2.5'

/**
 * The pyproject.toml of a project `shop` that has an extra, a group and an optional group.
 * @param dependencies its lines besides python's
 */
export function poetryProject(dependencies: string[], mode = ''): string {
  return `[tool.poetry]
name = "shop"
version = "0.3.0"
description = ""
authors = ["A <a@example.org>"]
${mode}
[tool.poetry.dependencies]
python = "^3.9"
${dependencies.join('\n')}
packaging = { version = "24.1", optional = true }

[tool.poetry.extras]
versions = ["packaging"]

[tool.poetry.group.dev.dependencies]
iniconfig = "2.0.0"

[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
six = "1.16.0"
`
}

/**
 * The poetry.lock that this version of poetry makes of a project: its files by their paths, pyproject.toml at the root.
 * @param more.git a folder of this machine that is there too: a repository that the project depends on
 * @param more.index in place of the one that poetry asks by itself
 */
export async function poetryLock(
  context: BuilderContext,
  version: PoetryVersion,
  files: Record<string, string>,
  { git, index }: { git?: string; index?: string } = {},
): Promise<string> {
  const program = 'from pip._internal.models.index import PyPI; print(PyPI.simple_url + "/")'
  const script = [
    `export POETRY_PYPI_MIRROR_URL="${index === undefined ? `$(python3 -c '${program}')` : `${index}/`}"`,
    'cd /project && /opt/poetry/bin/poetry lock --no-interaction >&2 && cat poetry.lock',
  ].join('\n')
  await using step = await Step.open(
    context,
    {
      name: `poetry ${version}`,
      image: await imageOf(context, version),
      command: ['/bin/sh', '-ec', script],
      user: '0:0',
      env: { POETRY_VIRTUALENVS_CREATE: 'false' },
      network: context.network,
      files: Object.fromEntries(Object.entries(files).map(([path, text]) => [`/project/${path}`, text])),
    },
    STEP,
  )
  if (git !== undefined) await step.container.put(spawn('tar', ['-c', '-C', '/', git.slice(1)]).stdout, '/')
  await step.start()
  step.stdin.end()
  const lock = await step.text(2 ** 24)
  await step.finish()
  // How poetry writes file: URLs, which only tests have.
  return lock.replaceAll('"file://None/', '"file:///')
}

/** Made where it is missing, and kept like a base. */
async function imageOf(context: BuilderContext, version: PoetryVersion): Promise<string> {
  const base = await testBase(version < '1.2' ? '3.9' : '3.11')
  const tools = TOOLS[version]
  const tag = createHash('sha256')
    .update(JSON.stringify([tools, base.reference]))
    .digest('hex')
    .slice(0, 12)
  const name = `meadow-test/poetry-${version}:${tag}`
  if (await context.engine.hasImage(name)) return name
  const install = 'python3 -m venv /opt/poetry && exec /opt/poetry/bin/pip -q install --no-cache-dir "$@"'
  await using step = await Step.open(
    context,
    {
      name: `installing poetry ${version}`,
      image: base.reference,
      command: ['/bin/sh', '-ec', install, 'sh', ...tools],
      user: '0:0',
      network: context.network,
    },
    STEP,
  )
  await step.start()
  step.stdin.end()
  await step.text(2 ** 20)
  await step.finish()
  await new Docker({ timeout: 120_000 })
    .getContainer(step.container.id)
    .commit({ repo: `meadow-test/poetry-${version}`, tag })
  return name
}
