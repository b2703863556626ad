/** `npm run test:fuzz`: each decoder for some time. Exit code 1 when one failed. */
import { positive, script, seed } from '../harness/script.ts'
import { fuzz } from './fuzz.ts'
import { targets } from './targets.ts'

const options = script('test:fuzz', 'give every decoder made-up input; exit code 1 when one failed')
  .option('--seconds <n>', 'for each of them', positive, 60)
  .option('--seed <n>', 'of the input; default: another one each time', seed)
  .option('--only <name>', 'only those with this in their names', '')
  .parse()
  .opts<{ seconds: number; seed?: number; only: string }>()

const chosen = targets.filter(({ name }) => name.includes(options.only))
if (chosen.length === 0) {
  console.error(`no decoder is named ${options.only}; there are ${targets.map(({ name }) => name).join('; ')}`)
  process.exit(2)
}
for (const target of chosen) {
  const { runs, results, errors, failure } = await fuzz(
    target,
    options.seconds,
    ...(options.seed === undefined ? [] : [options.seed]),
  )
  console.log(
    `${failure === undefined ? 'ok    ' : 'FAILED'} ${target.name}: ${runs} inputs, ${results} results, ${errors} errors`,
  )
  if (failure === undefined) continue
  console.error(failure)
  process.exitCode = 1
}
