/** The collector bench's aggregator: acknowledges at once and forgets. A process of its own, so that its CPU time is not the collector's. */
import { Sink } from '../harness/sink.ts'

const sink = await Sink.listen()
process.send!({ address: sink.address })
process.on('disconnect', () => process.exit())
