/** The thread that slow filters work in: makes the same chain from the same configuration, and answers chunk by chunk, in order. */
import { parentPort, workerData } from 'node:worker_threads'
import { FilterChain } from './chain.ts'
import type { StreamFilter } from './stream-filter.ts'
import type { Tally } from './tally.ts'
import type { ThreadAnswer, ThreadRequest, ThreadSetup } from './thread.ts'

const { config, file } = workerData as ThreadSetup
const filters = new Map<number, StreamFilter>()
let tally: Tally | undefined
const chain = await FilterChain.create({
  config,
  file,
  onTally: (counted) => {
    tally = structuredClone(counted)
  },
})

parentPort!.on('message', ({ id, log, records, count, range }: ThreadRequest) => {
  let filter = filters.get(log.id)
  if (filter === undefined) {
    filter = chain.forStream(log.stream, log.policy)!
    filters.set(log.id, filter)
    if (filters.size > rememberedLogs) filters.delete(filters.keys().next().value!)
  }
  tally = undefined
  const filtered = filter.apply(Buffer.from(records.buffer, records.byteOffset, records.length), count, range)
  if (filtered instanceof Promise) throw new Error('a thread has no thread of its own')
  const answer: ThreadAnswer = { id, ...filtered, tally }
  parentPort!.postMessage(answer)
})

/** Logs whose filters are kept ready. */
const rememberedLogs = 1024
