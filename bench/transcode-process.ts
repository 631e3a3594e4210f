import { openFileBlobs } from '../service/blobs/files.ts'
import { transcodePool } from '../service/image/transcode-pool.ts'
import type { BigWheel } from './big-wheel.ts'
import type { Transcoded } from './transcode.ts'

/** Transcodes one wheel as the service does and says its own peak memory. Run as a process of its own. */

const { folder, filename, file } = JSON.parse(process.argv[2] ?? '') as BigWheel & { folder: string }
const blobs = await openFileBlobs(folder)
const transcoder = transcodePool(1)
const start = performance.now()
await transcoder.transcode({ blobs, filename, file, python: '3.11' })
const seconds = (performance.now() - start) / 1000
await transcoder.close()
const done: Transcoded = { megabytes: (process.resourceUsage().maxRSS * 1024) / 1e6, seconds }
console.log(JSON.stringify(done))
