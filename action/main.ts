import { error as annotate, saveState, setOutput, summary, warning } from '@actions/core'
import { follow } from '../client/follow.ts'
import { Http } from '../client/http.ts'
import { Service } from '../client/service.ts'
import { deploy } from './deploy.ts'
import { type WorkflowRun, workflowRun } from './event.ts'
import { type Inputs, readInputs } from './inputs.ts'
import { LogOutput } from './log-output.ts'
import { conclude, failure, outputs, type Report } from './report.ts'
import { show } from './show.ts'
import { summaryOf } from './summary.ts'

const log = new LogOutput(process.stdout)
const cancelled = new AbortController()

async function main(): Promise<void> {
  // Holds unless the run is known to have gone well, however this process ends.
  process.exitCode = 1
  try {
    const inputs = readInputs()
    const job = await workflowRun(process.env)
    const service = await signIn(inputs, job)
    const run = await submit(inputs, job, service)
    const report = await watch(run, service)
    conclude(report, await service.run(run))
    saveState('ended', 'true')
    await publish(report, inputs)
  } catch (error) {
    await fail(error)
  }
}

async function signIn({ serviceUrl, token, repository }: Inputs, job: WorkflowRun): Promise<Service> {
  process.once('SIGINT', () => cancelled.abort(new Error('The step was cancelled.')))
  process.once('SIGTERM', () => cancelled.abort(new Error('The step was cancelled.')))
  const loopback = ['127.0.0.1', 'localhost', '[::1]'].includes(serviceUrl.hostname)
  if (serviceUrl.protocol === 'http:' && !loopback) warning('service-url: http: sends the token in clear; use https:.')
  const service = new Service(new Http({ url: serviceUrl }))
  await service.signIn(token, repository, job.id)
  return service
}

async function submit(inputs: Inputs, job: WorkflowRun, service: Service): Promise<string> {
  const code = await deploy(inputs, job, service, { signal: cancelled.signal, say: (line) => void log.line(line) })
  cancelled.signal.throwIfAborted()
  // Not cut off by a cancel: a run whose id is not known here could not be ended.
  const { id } = await service.submit({ ...inputs.request, ...code })
  saveState('run-id', id)
  setOutput('run-id', id)
  return id
}

/** Follows the run to its end; a cancelled step ends the run and still follows what it says of that. */
async function watch(run: string, service: Service): Promise<Report> {
  const cancel = () => {
    service.cancel(run).catch((error: unknown) => log.line(`The run could not be cancelled: ${error}`))
  }
  if (cancelled.signal.aborted) cancel()
  else cancelled.signal.addEventListener('abort', cancel, { once: true })
  const onBreak = (why: string) => void log.aside(`The connection broke (${why}); it is taken up again.`)
  return await show(follow(service.http, run, { onBreak }), run, log)
}

async function publish(report: Report, { request }: Inputs): Promise<void> {
  for (const [name, value] of Object.entries(outputs(report))) setOutput(name, value)
  const what = request.command ?? request.function ?? request.args?.join(' ') ?? ''
  if (process.env.GITHUB_STEP_SUMMARY) await summary.addRaw(summaryOf(report, what)).write()
  const failed = failure(report)
  if (failed) await log.command(() => annotate(failed.text))
  // Not process.exit: it would cut off what is still on its way to the log.
  process.exitCode = failed?.exitCode ?? 0
}

async function fail(error: unknown): Promise<void> {
  const { message, hint = '' } = error instanceof Error ? (error as Error & { hint?: string }) : { message: `${error}` }
  await log.command(() => annotate([message, hint].filter(Boolean).join('\n')))
}

void main()
