/**
 * Waits while turns of the event loop bring more that can be written together, until it is enough or a turn brings none.
 */
export async function whileMoreArrive(arrived: () => number, enough: number): Promise<void> {
  for (let before = 0; arrived() > before && arrived() < enough; ) {
    before = arrived()
    await new Promise((resolve) => setImmediate(resolve))
  }
}
