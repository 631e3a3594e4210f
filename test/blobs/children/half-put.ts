import { openFileBlobs } from '../../../service/blobs/files.ts'

/** Puts half a blob, then waits for ever. */
const blobs = await openFileBlobs(process.argv[2] as string)
await blobs.put(
  (async function* () {
    yield Buffer.alloc(1_000_000)
    console.log('half')
    await new Promise((resolve) => setTimeout(resolve, 2 ** 30))
  })(),
)
