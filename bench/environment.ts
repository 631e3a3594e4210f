/** Twelve names that resolve to about fifty packages: what a data scientist's project has. */
const NAMES = [
  ...['pandas', 'scipy', 'scikit-learn', 'matplotlib', 'fastapi', 'pytest', 'sqlalchemy', 'boto3', 'pyarrow'],
  ...['polars', 'statsmodels'],
]

/** The one small package that changes: pinned, and nothing else follows from its version. */
export const SMALL_VERSIONS = ['2.32.3', '2.32.4', '2.32.5', '2.32.2', '2.31.0', '2.32.0'] as const

/** The lines of requirements.txt, with one version of the small package. */
export function requirements(version: string = SMALL_VERSIONS[0]): string {
  return [...NAMES, `requests==${version}`, ''].join('\n')
}

/** An environment that shares no package with the other: it makes the service ready to work. */
export const WARM_UP = 'toolz\n'

/** With the others, about sixty packages. */
const MORE_NAMES = ['httpx', 'typer', 'jinja2', 'alembic', 'xarray', 'tqdm']

/** A pyproject.toml of about sixty packages, and of one, as the standard has it. */
export const PYPROJECT = pyproject([...NAMES, ...MORE_NAMES, `requests==${SMALL_VERSIONS[0]}`])
export const SMALL_PYPROJECT = pyproject(['toolz'])

function pyproject(dependencies: string[]): string {
  const head = ['[project]', 'name = "bench"', 'version = "1"', 'requires-python = ">=3.11,<3.12"']
  // It has no code of its own.
  const poetry = ['[tool.poetry]', 'package-mode = false']
  return [...head, `dependencies = ${JSON.stringify(dependencies)}`, ...poetry, ''].join('\n')
}
