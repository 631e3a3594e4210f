import { getInput, getState, info, warning } from '@actions/core'
import { Http } from '../client/http.ts'
import { Service } from '../client/service.ts'
import { url } from '../common/input-text.ts'

/** The runner waits for a post step, but nobody else should. */
const PATIENCE = 5000

/** Ends the run that the step left behind: it was killed, or could not follow any longer. */
async function post(): Promise<void> {
  try {
    const run = getState('run-id')
    if (run === '' || getState('ended') !== '') return
    const service = new Service(new Http({ url: url(getInput('service-url')), patience: PATIENCE }))
    await service.signIn(getInput('token'), getInput('repository'))
    const { state, outcome } = await service.cancel(run)
    info(state === 'finished' ? `Run ${run} had ended: ${outcome}.` : `Run ${run} is being cancelled.`)
  } catch (error) {
    // The step's own outcome stands.
    warning(`The run could not be cancelled: ${error instanceof Error ? error.message : error}`)
  }
}

void post()
