import { BUILDER_TOOLS, CONDA_TOOLS, POETRY_TOOLS, type ToolList } from '../service/builder/bootstrap.ts'

/** How the usual way installs the environment of one format in a Dockerfile. */
export interface Recipe {
  name: string
  /** Shell lines that put the format's own installer into the base image, beforehand: they are not measured. */
  tool: string[]
  /** What that needs to be set, and the install too. */
  env: Record<string, string>
  /** The shell line that installs the files of the working directory into `/opt/env`. */
  install: string
  /** The shell line that makes a lock of a pyproject.toml in the working directory, where the format has one. */
  lock?: string
}

export const PIP: Recipe = {
  name: 'pip',
  tool: [],
  env: {},
  install: 'python3 -m venv /opt/env && /opt/env/bin/pip install --quiet --no-cache-dir -r requirements.txt',
}

/** As https://docs.astral.sh/uv/guides/integration/docker/ has it, with byte code, which ours and pip's have too. */
export const UV: Recipe = {
  name: 'uv',
  tool: [
    'python3 -m venv /opt/tool',
    `/opt/tool/bin/pip install --quiet --no-cache-dir ${pinned(BUILDER_TOOLS, 'uv')}`,
  ],
  env: { UV_PROJECT_ENVIRONMENT: '/opt/env', UV_COMPILE_BYTECODE: '1', UV_LINK_MODE: 'copy', UV_NO_CACHE: '1' },
  install: '/opt/tool/bin/uv sync --quiet --frozen --no-install-project --no-python-downloads',
  lock: '/opt/tool/bin/uv lock --quiet --no-python-downloads',
}

/** The index of pip by the protocol that all indexes speak; poetry's own for the default one is known to that alone. */
const MIRROR = `POETRY_PYPI_MIRROR_URL="$(python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)')/"`

/** As https://python-poetry.org/docs/faq/#poetry-busts-my-docker-cache-because-it-requires-me-to-copy-my-source-files-in-before-installing-3rd-party-dependencies has it, with byte code. */
export const POETRY: Recipe = {
  name: 'poetry',
  tool: [
    'python3 -m venv /opt/tool',
    `/opt/tool/bin/pip install --quiet --no-cache-dir ${pinned(POETRY_TOOLS, 'poetry')} poetry-plugin-pypi-mirror==0.6.5`,
  ],
  env: { POETRY_NO_INTERACTION: '1', POETRY_CACHE_DIR: '/tmp/poetry' },
  install: [
    `export VIRTUAL_ENV=/opt/env ${MIRROR}`,
    'python3 -m venv /opt/env',
    '/opt/tool/bin/poetry install --quiet --no-root --compile --no-cache',
  ].join(' && '),
  lock: `${MIRROR} /opt/tool/bin/poetry lock --quiet`,
}

/** The program that installs archives of conda packages from its folder; the interpreter may crash at its own end. */
export const CONDA_INSTALL = `import asyncio, os, pathlib, rattler
async def main():
    archives = sorted(p for p in pathlib.Path(".").iterdir() if p.name.endswith((".conda", ".tar.bz2")))
    records = [await rattler.RepoDataRecord.from_package_archive(path.resolve()) for path in archives]
    await rattler.install(records, target_prefix="/opt/env", cache_dir="/tmp/cache", show_progress=False,
                          platform=rattler.Subdir("linux-64"))
asyncio.run(main())
os._exit(0)
`

/** Conda packages that are there already, so that nothing need be fetched. */
export const CONDA: Recipe = {
  name: 'py-rattler',
  tool: [
    'python3 -m venv /opt/tool',
    `/opt/tool/bin/pip install --quiet --no-cache-dir ${pinned(CONDA_TOOLS, 'py-rattler')}`,
  ],
  env: {},
  install: '/opt/tool/bin/python install.py && rm -rf /tmp/cache',
}

/** A tool in the version that our own builder has. */
function pinned({ name: image, requirements }: ToolList, name: string): string {
  const found = new RegExp(`^${name}==\\S+`, 'm').exec(requirements)?.[0]
  if (found === undefined) throw new Error(`The ${image} image has no ${name}`)
  return found
}
