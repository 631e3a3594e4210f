import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { claimFolder } from '../../../service/database/claim-folder.ts'

/** Holds a data folder until it is killed, though nothing refers to the claim. */
claimFolder(process.argv[2] as string)
setFlagsFromString('--expose-gc')
runInNewContext('gc')()
console.log('held')
setInterval(() => {}, 60_000)
