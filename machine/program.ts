import { CommandFailed } from './command.ts'
import { SetupImpossible } from './packages.ts'

/**
 * Runs a program to its end. Whatever happens, signals included, what it started is ended, the last first; what it
 * failed of is said in one line, where it is known.
 */
export async function runProgram(work: (cleanup: AsyncDisposableStack) => Promise<void>): Promise<void> {
  await using cleanup = new AsyncDisposableStack()
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(name, async () => {
      console.log(`${name}: ending what was started …`)
      await cleanup.disposeAsync()
      process.exit(code)
    })
  try {
    await work(cleanup)
  } catch (error) {
    if (cleanup.disposed) return
    const isKnown = error instanceof SetupImpossible || error instanceof CommandFailed
    console.error(isKnown ? error.message : error)
    process.exitCode = 1
  }
}
