/**
 * `npm run test:clickhouse -- --url https://clickhouse:8443 [--url …] [--user NAME] [--password-file FILE] [--ca-file FILE] [--cluster NAME]
 * [--database NAME] [--lines N]`: whether a ClickHouse of one's own does what the store `clickhouse` needs of it. All of it in a database that is
 * made for this and dropped at the end; one that is there already is refused. Exit code 1 when anything is not as it must be.
 * `--stand-in` instead of a URL: against the engine of this repository, to see what it does.
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { clickhouseConfig, clickhouseConnection } from '@tributary/aggregator/store/config.ts'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { StandIn } from '../harness/stand-in.ts'
import { checkPipeline } from './pipeline.ts'
import { checks, type Subject } from './store-checks.ts'
import { openSubject } from './subject.ts'

const { values } = parseArgs({
  options: {
    url: { type: 'string', multiple: true },
    user: { type: 'string', default: 'default' },
    'password-file': { type: 'string' },
    'ca-file': { type: 'string' },
    cluster: { type: 'string' },
    database: { type: 'string', default: `tributary_check_${randomBytes(4).toString('hex')}` },
    lines: { type: 'string', default: '20000' },
    'stand-in': { type: 'boolean', default: false },
  },
})
await using standIn = values['stand-in']
  ? await StandIn.start(...(values.cluster === undefined ? [] : ['--cluster', values.cluster]))
  : undefined
const url = standIn?.url ?? values.url
if (url === undefined) throw new ConfigError('flags', ['--url is required'])
const parsed = clickhouseConfig.safeParse({
  url,
  username: values.user,
  passwordFile: values['password-file'],
  tls: { caFile: values['ca-file'] },
  cluster: values.cluster,
  database: values.database,
})
if (!parsed.success) {
  throw new ConfigError(
    'flags',
    parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
  )
}

let failed = 0
async function step(name: string, work: () => Promise<string | undefined>): Promise<boolean> {
  const begun = performance.now()
  try {
    const said = await work()
    console.log(
      `ok      ${name}${said === undefined ? '' : `: ${said}`} (${((performance.now() - begun) / 1000).toFixed(1)} s)`,
    )
    return true
  } catch (error) {
    failed++
    console.log(`FAILED  ${name}: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
}

const connection = clickhouseConnection(parsed.data)
let subject: Subject | undefined
const opened = await step('the server answers, and the scratch database is made', async () => {
  subject = await openSubject(connection)
  return `ClickHouse ${subject.version}, database ${connection.database}`
})
if (opened && subject !== undefined) {
  try {
    for (const { name, check } of checks) {
      const done = await step(name, () => check(subject!))
      if (!done && name === checks[0]!.name) break
    }
    await step('a pipeline before it: every line read back once through the query API', () =>
      checkPipeline(connection, parsed.data, Number(values.lines)),
    )
  } finally {
    await step('the scratch database is dropped', async () => {
      await subject!.drop()
      return undefined
    })
  }
}
console.log(failed === 0 ? 'Everything is as it must be.' : `${failed} of the checks failed.`)
process.exitCode = failed === 0 ? 0 : 1
