/**
 * `npm run test:clickhouse`: whether a ClickHouse of one's own does what the store `clickhouse` needs of it. All of it in a database that is
 * made for this and dropped at the end; one that is there already is refused. Exit code 1 when anything is not as it must be.
 */
import { randomBytes } from 'node:crypto'
import { clickhouseConfig, clickhouseConnection } from '@tributary/aggregator/store/config.ts'
import { describeProblems } from '@tributary/protocol/config-value.ts'
import { Option } from 'commander'
import { positive, script } from '../harness/script.ts'
import { StandIn } from '../harness/stand-in.ts'
import { checkPipeline } from './pipeline.ts'
import { checks, type Subject } from './store-checks.ts'
import { openSubject } from './subject.ts'

interface Options {
  readonly url?: readonly string[]
  readonly user: string
  readonly passwordFile?: string
  readonly caFile?: string
  readonly cluster?: string
  readonly database: string
  readonly lines: number
  readonly standIn?: true
}

const command = script(
  'test:clickhouse',
  'check in a scratch database, which is dropped at the end, whether a ClickHouse does what the store needs of it',
)
  .option('--url <url...>', 'its address, such as https://clickhouse:8443, or several that lead to the same store')
  .option('--user <name>', 'user at that server', 'default')
  .option('--password-file <file>', 'file that holds the password')
  .option('--ca-file <file>', "certificates, PEM, one of which must have signed the server's")
  .option('--cluster <name>', "name of a cluster in the server's remote_servers")
  .addOption(
    new Option('--database <name>', 'scratch database, which must not be there').default(
      `tributary_check_${randomBytes(4).toString('hex')}`,
      'a name by chance',
    ),
  )
  .option('--lines <n>', 'that a pipeline writes, and reads back', positive, 20_000)
  .addOption(new Option('--stand-in', 'the engine of this repository, to see what the check does').conflicts('url'))
  .parse()
const options = command.opts<Options>()
if (options.url === undefined && options.standIn === undefined) command.error('error: --url or --stand-in is needed')

await using standIn = options.standIn
  ? await StandIn.start(...(options.cluster === undefined ? [] : ['--cluster', options.cluster]))
  : undefined
const parsed = clickhouseConfig.safeParse({
  url: standIn?.url ?? options.url,
  username: options.user,
  passwordFile: options.passwordFile,
  tls: { caFile: options.caFile },
  cluster: options.cluster,
  database: options.database,
})
if (!parsed.success) {
  for (const problem of describeProblems(parsed.error)) console.error(`store.clickhouse.${problem}`)
  process.exit(2)
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
      checkPipeline(connection, parsed.data, options.lines),
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
