/** `npm run test:fuzz -- [--seconds N] [--seed N] [--only NAME]`: each decoder for N seconds, 60 by default. Exit code 1 when one failed. */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'
import { targets } from './targets.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, only: { type: 'string' } },
})
const chosen = targets.filter(({ name }) => values.only === undefined || name.includes(values.only))
if (chosen.length === 0) {
  console.error(`no decoder is named ${values.only}; there are ${targets.map(({ name }) => name).join('; ')}`)
  process.exit(2)
}
for (const target of chosen) {
  const { runs, results, errors, failure } = await fuzz(
    target,
    Number(values.seconds),
    ...(values.seed === undefined ? [] : [Number(values.seed)]),
  )
  console.log(
    `${failure === undefined ? 'ok    ' : 'FAILED'} ${target.name}: ${runs} inputs, ${results} results, ${errors} errors`,
  )
  if (failure === undefined) continue
  console.error(failure)
  process.exitCode = 1
}
