/** The limits bench's aggregator: acknowledges, counts every line, and answers how many came. A process of its own, outside the limits. */
import { Sink } from '../harness/sink.ts'
import { Tally } from './tally.ts'

export type TallyQuestion = { readonly ask: 'count' } | { readonly ask: 'verdict'; readonly written: readonly number[] }

const tally = new Tally()
const sink = await Sink.listen({ each: (line) => tally.add(line) })
process.send!({ address: sink.address })
process.on('message', (question: TallyQuestion) =>
  process.send!(
    question.ask === 'verdict' ? tally.verdict(question.written) : { lines: tally.lines, records: tally.records },
  ),
)
process.on('disconnect', () => process.exit())
