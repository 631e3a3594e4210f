import { openSqlite } from '../../../../service/database/sqlite.ts'
import { startWorker } from '../../../../service/jobs/worker/worker.ts'

/** Works on builds that never end. */
const [folder = '', owner = ''] = process.argv.slice(2)
startWorker({
  database: openSqlite(folder),
  owner,
  handlers: {
    build: {
      concurrency: 1,
      run: async ({ job }) => {
        console.log(`began ${job.id}`)
        await new Promise((resolve) => setTimeout(resolve, 2 ** 30))
      },
      failed: async () => {},
    },
  },
  isRetryable: () => false,
  report: console.error,
})
