import { ConfigInvalid, loadConfig } from '../service/config.ts'
import { BaseNameInvalid } from '../service/registry/base-name.ts'
import { CommandFailed, type Say } from './command.ts'
import { embedBase } from './embed-base.ts'
import { SetupImpossible } from './packages.ts'
import { STAND_INS } from './stand-ins.ts'

/** `npm run base-image -- python:3.11-slim-bookworm`: sees that the service in `MEADOW_DATA` finds a base image. */

const say: Say = (line) => console.log(line)

try {
  const [name, ...more] = process.argv.slice(2)
  if (name === undefined || more.length > 0 || name.startsWith('-'))
    throw new RangeError(
      `Usage: npm run base-image -- NAME, with NAME one of ${STAND_INS.map((each) => each.name).join(', ')}`,
    )
  const config = loadConfig(process.env)
  const origin = await embedBase(name, config, { say })
  const said = {
    embedded: `${name} is in the registry of ${config.data} already.`,
    registry: `${config.baseRegistry.host} has ${name}: the service copies it from there when it is needed.`,
    made: `${name} is there: a stand-in, made from Debian's packages.`,
  }
  say(said[origin])
} catch (error) {
  const known = [RangeError, SetupImpossible, CommandFailed, ConfigInvalid, BaseNameInvalid]
  if (!known.some((kind) => error instanceof kind)) throw error
  console.error((error as Error).message)
  process.exitCode = 1
}
