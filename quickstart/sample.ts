import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sampleGit } from '../machine/git.ts'

/** A repository as a data scientist has it: requirements, and tests that use them. */
export interface Sample {
  /** `owner/name` */
  name: string
  /** The working tree, where a runner's checkout would be. */
  folder: string
  /** The folder that `MEADOW_GIT_URL` points to, in the place of a git host. */
  host: string
  /** What its requirements.txt lists. */
  requirements: string[]
}

/** A commit on the sample's branch `main`. */
export interface Commit {
  id: string
  /** The commit that the branch was at before; 40 zeros for the first. */
  before: string
}

/** What the sample's workflow runs. */
export const COMMAND = 'pytest -q'

const TEST = `import requests
from rich.console import Console


def test_request():
    request = requests.Request("GET", "https://example.org", params={"q": "meadow"}).prepare()
    Console().print(f"[green]{request.url}[/green]")
    assert request.url.endswith("?q=meadow")
`

const ONE_MORE_TEST = `import humanize


def test_size():
    assert humanize.naturalsize(1_000_000) == "1.0 MB"
`

/** Makes the repository, with its first commit, below a folder that stands for the git host. */
export async function createSample(host: string): Promise<{ sample: Sample; commit: Commit }> {
  const requirements = ['pytest', 'requests', 'rich']
  const sample = { name: 'meadow/sample', folder: join(host, 'meadow/sample'), host, requirements }
  await mkdir(sample.folder, { recursive: true })
  await sampleGit(sample.folder, 'init', '--quiet', '--initial-branch=main')
  return { sample, commit: await commitWith(sample, 'test_request.py', TEST, '0'.repeat(40)) }
}

/** One requirement more, and a test that needs it. */
export async function addRequirement(sample: Sample, previous: Commit): Promise<Commit> {
  sample.requirements.push('humanize')
  return await commitWith(sample, 'test_size.py', ONE_MORE_TEST, previous.id)
}

async function commitWith(sample: Sample, testFile: string, test: string, before: string): Promise<Commit> {
  await writeFile(join(sample.folder, 'requirements.txt'), `${sample.requirements.join('\n')}\n`)
  await writeFile(join(sample.folder, testFile), test)
  await sampleGit(sample.folder, 'add', '--all')
  await sampleGit(sample.folder, 'commit', '--quiet', '--message', `Test with ${sample.requirements.at(-1)}`)
  return { id: await sampleGit(sample.folder, 'rev-parse', 'HEAD'), before }
}
