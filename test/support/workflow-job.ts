import { execFile } from 'node:child_process'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Step, type StepResult, startStep } from './action-step.ts'
import type { Project } from './project.ts'
import type { ServiceHome } from './service-process.ts'

/** A job of a workflow with a checkout, whose steps use the bundled Action. */
export class WorkflowJob {
  /** Its checkout. */
  readonly workspace: string
  readonly #folder: string
  readonly #project: Project
  readonly #inputs: Record<string, string>

  private constructor(folder: string, workspace: string, project: Project, inputs: Record<string, string>) {
    this.#folder = folder
    this.workspace = workspace
    this.#project = project
    this.#inputs = inputs
  }

  /** @param url where the Action finds the service, if not at its own address */
  static async start(home: ServiceHome, project: Project, url: string = home.url): Promise<WorkflowJob> {
    const jobs = join(home.folder, 'jobs')
    await mkdir(jobs, { recursive: true })
    const folder = await mkdtemp(join(jobs, 'job-'))
    const workspace = join(folder, 'work')
    await promisify(execFile)('git', ['clone', '--quiet', `file://${project.repository.folder}`, workspace])
    const inputs = { 'service-url': url, token: home.token, repository: project.name, deployment: 'git_repo' }
    return new WorkflowJob(folder, workspace, project, { ...inputs, interpreter: 'auto' })
  }

  /**
   * Starts a step on a commit.
   * @param env what earlier steps left in the environment
   */
  async start(commit: string, inputs: Record<string, string>, env: Record<string, string> = {}): Promise<Step> {
    const folder = await mkdtemp(join(this.#folder, 'step-'))
    return await startStep(
      'main',
      folder,
      { ...this.#inputs, ...inputs },
      {
        ...{ ...this.#github(), GITHUB_SHA: commit },
        ...env,
      },
    )
  }

  /** A step to its end. */
  async step(commit: string, inputs: Record<string, string>, env: Record<string, string> = {}): Promise<StepResult> {
    return await (await this.start(commit, inputs, env)).result
  }

  /** What a runner starts behind the steps, with what the step had saved. */
  async post(state: Record<string, string>): Promise<StepResult> {
    const folder = await mkdtemp(join(this.#folder, 'post-'))
    const saved = Object.fromEntries(Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]))
    return await (await startStep('post', folder, this.#inputs, { ...this.#github(), ...saved })).result
  }

  /** The job's variables (GitHub, "Variables"). */
  #github(): Record<string, string> {
    return {
      GITHUB_ACTIONS: 'true',
      GITHUB_EVENT_NAME: 'push',
      GITHUB_REF: 'refs/heads/main',
      GITHUB_REPOSITORY: this.#project.name,
      GITHUB_RUN_ID: '4711',
      GITHUB_WORKSPACE: this.workspace,
    }
  }
}
