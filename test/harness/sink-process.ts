/** A {@link Sink} as a process of its own, which can be stopped and killed: `sink-process.ts [ledger]`. Tells its address to whoever forked it. */
import { Sink } from './sink.ts'

const ledger = process.argv[2]
const sink = await Sink.listen(ledger === undefined ? {} : { ledger, shared: new Map() })
process.send!({ address: sink.address })
process.on('disconnect', () => process.exit())
