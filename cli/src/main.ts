/** The `tributary` command. Exit codes: 0 done; 1 failed, or the audit found something; 2 wrong usage or configuration. */
import { loadConfig } from '@tributary/protocol/config-file.ts'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { sameRequest } from '@tributary/protocol/stop-request.ts'
import { parseDuration, parseSize } from '@tributary/protocol/units.ts'
import { Command, InvalidArgumentError, Option } from 'commander'
import { addressText, durationText, timeText } from './arguments.ts'
import type { Kind } from './check.ts'
import { generateDefaults } from './generate/generate.ts'
import { rotationKinds } from './generate/rotation.ts'
import { outputs } from './output.ts'

const program = new Command('tributary')
  .description('Log collection for Kubernetes: every line exactly once, or the loss shown by byte range.')
  .version('0.1.0')
  .showHelpAfterError('(--help shows the options)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))

const address = () =>
  new Option('--addr <url>', 'address of the aggregator')
    .default('http://localhost:3100')
    .env('TRIBUTARY_ADDR')
    .argParser(addressText)
const collectorAddress = () =>
  new Option('--addr <url>', 'address of the collector')
    .default('http://127.0.0.1:2020')
    .env('TRIBUTARY_COLLECTOR_ADDR')
    .argParser(addressText)
const output = () =>
  new Option('-o, --output <format>', 'how results are printed')
    .choices(outputs)
    .default(process.stdout.isTTY ? 'table' : 'jsonl')
const print = (line: string) => void process.stdout.write(`${line}\n`)

// Whoever reads the output, such as `head`, may have had enough.
program.hook('preAction', (_, command) => {
  if (command.name() === 'up') return
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
})

program
  .command('up')
  .description('run the whole pipeline on this machine: collector, aggregator, embedded store, API')
  .option(
    '--logs <dir>',
    'directory of *.log files or links, such as /var/log/containers (default: a demo that writes its own)',
  )
  .option('--data <dir>', 'where checkpoints, write-ahead log and store are kept', './tributary-data')
  .option('--port <n>', 'port of the API on localhost', integer(1, 65535), 3100)
  .action(async (options) => {
    const [stop, force] = [new AbortController(), new AbortController()]
    let askedAt = Number.POSITIVE_INFINITY
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => {
        if (performance.now() - askedAt > sameRequest) force.abort()
        askedAt = Math.min(askedAt, performance.now())
        stop.abort()
      })
    // A terminal that was closed takes no more output; draining goes on without.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
    await (await import('./up.ts')).runUp(options, stop.signal, force.signal)
  })

for (const kind of ['collector', 'aggregator'] as const) {
  program
    .command(kind)
    .description(`run one ${kind}`)
    .requiredOption('-c, --config <file>', 'configuration, YAML; see docs/configuration.md')
    .action(async ({ config }) => {
      if (kind === 'collector') await (await import('@tributary/collector/main.ts')).runCollector(config)
      else {
        const { aggregatorConfig } = await import('@tributary/aggregator/config.ts')
        const { runAggregator } = await import('@tributary/aggregator/main.ts')
        process.exitCode = await runAggregator(loadConfig(config, aggregatorConfig))
      }
    })
}

program
  .command('check')
  .description('check configuration files; exit code 2 when one is wrong')
  .argument('<file...>', 'configuration, YAML')
  .addOption(
    new Option('--kind <kind>', 'whose configuration it is (default: by its keys)').choices([
      'collector',
      'aggregator',
    ]),
  )
  .action(async (files: string[], { kind }: { kind?: Kind }) => {
    const { checkFile, checkFilters, kindOf } = await import('./check.ts')
    const problems = await Promise.all(
      files.map(async (file) => {
        const found = checkFile(file, kind)
        return found.length > 0 || (kind ?? kindOf(file)) === 'aggregator' ? found : await checkFilters(file)
      }),
    ).then((all) => all.flat())
    for (const problem of problems) console.error(problem)
    if (problems.length > 0) process.exitCode = 2
    else for (const file of files) print(`${file}: ok`)
  })

program
  .command('test')
  .description('run the tests beside a collector configuration: lines and the records they shall become')
  .argument('<file...>', 'cases, YAML; see docs/testing-configuration.md')
  .action(async (files: string[]) => {
    if (!(await (await import('./golden.ts')).runGolden(files, print))) process.exitCode = 1
  })

program
  .command('query')
  .description('ask for lines or a metric, with LogQL')
  .argument('<logql>', `such as '{namespace="shop"} |= "error"' or 'sum by (pod) (rate({namespace="shop"}[5m]))'`)
  .option('--since <duration>', 'how far back', durationText, '1h')
  .option('--from <time>', 'from this time on: RFC 3339, seconds since 1970, or a duration ago', timeText)
  .option('--to <time>', 'up to this time (default: now)', timeText)
  .option('--limit <n>', 'at most this many lines', integer(1, Number.MAX_SAFE_INTEGER), 100)
  .option('--forward', 'oldest first')
  .addOption(output())
  .addOption(address())
  .action(async (query, options) => (await import('./query.ts')).runQuery(query, options, print))

program
  .command('tail')
  .description('print lines as they come')
  .argument('<logql>', `such as '{container="api"}'`)
  .option('--since <duration>', 'begin with the lines since', durationText, '10s')
  .option('--limit <n>', 'at most this many of those', integer(1, 5000), 1000)
  .addOption(output())
  .addOption(address())
  .action(async (query, options) => {
    const stop = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
    const warn = (line: string) => void process.stderr.write(`tail: ${line}\n`)
    await (await import('./tail.ts')).runTail(query, options, print, warn, stop.signal)
  })

program
  .command('backup')
  .description('write a backup of a running aggregator: a tar archive of its data directory')
  .addOption(address())
  .option('--out <file>', 'where to (default: standard output)')
  .action(async ({ addr, out }) => {
    await (await import('./backup.ts')).runBackup({ addr, out }, (line) => void process.stderr.write(`${line}\n`))
  })

program
  .command('audit')
  .description('what was read, stored, filtered and lost, by source; exit code 1 when anything is missing or doubled')
  .option('--brief', 'only sources with a loss or a problem')
  .option('--json', 'everything, as JSON')
  .option('--wait <duration>', 'wait this long for what is accepted to be stored', durationText, '30s')
  .addOption(address())
  .action(async (options) => {
    if (!(await (await import('./audit.ts')).runAudit(options, print))) process.exitCode = 1
  })

program
  .command('why')
  .description(
    "what became of a pod's logs on this node: found, read, acknowledged, waiting for what; exit code 1 when something is wrong",
  )
  .argument('[log]', 'namespace/pod or namespace/pod/container (default: all logs with something wrong)')
  .addOption(collectorAddress())
  .option('--state <dir>', 'read the stateDir of a collector instead, which need not be running')
  .option('--logs <dir>', 'the log directory to compare it with', '/var/log/containers')
  .option('-c, --config <file>', "read the directories that a collector's configuration names")
  .addOption(new Option('-o, --output <format>', 'how it is printed').choices(['text', 'json']).default('text'))
  .action(async (log, options) => {
    if (!(await (await import('./why.ts')).runWhy(log, options, print))) process.exitCode = 1
  })

program
  .command('tap')
  .description("show live what each filter does to the lines of one pod on this collector's node")
  .argument('<log>', 'namespace/pod or namespace/pod/container')
  .addOption(collectorAddress())
  .option('--raw', 'with the secrets that filters redact (only where http.listen is 127.0.0.1)')
  .addOption(new Option('-o, --output <format>', 'how it is printed').choices(['text', 'json']).default('text'))
  .action(async (log, options) => {
    const stop = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
    await (await import('./tap.ts')).runTap(log, options, print, stop.signal)
  })

program
  .command('verify')
  .description(
    'write marked lines to the output, where a collector reads it, and find each once in the store; exit code 1 when one is missing, doubled or without what is expected',
  )
  .option('--lines <n>', 'how many lines', integer(1, 100_000), 100)
  .option('--timeout <duration>', 'how long all of them may take to be found', durationText, '3m')
  .option('--settle <duration>', 'how long after that none may come a second time', durationText, '5s')
  .option(
    '--expect <name=value>',
    'label or structured metadata that every line must have; may be repeated',
    (text: string, all: string[]) => [...all, text],
    [],
  )
  .addOption(address())
  .action(async (options) => {
    if (!(await (await import('./verify.ts')).runVerify(options, print))) process.exitCode = 1
  })

program
  .command('generate')
  .description('write logs as the kubelet does, every line with its container and number')
  .requiredOption('--out <dir>', 'where: containers/ has the links to read from')
  .option('--containers <n>', 'how many containers', integer(1, 100_000), generateDefaults.containers)
  .option(
    '--rate <n>',
    'lines per second in all; 0: as many as possible',
    integer(0, 100_000_000),
    generateDefaults.rate,
  )
  .addOption(
    new Option('--duration <duration>', 'for how long, such as 60 (seconds) or 5m')
      .argParser(seconds)
      .default(10_000, '10s'),
  )
  .option('--lines <n>', 'end after so many lines in all', integer(1, Number.MAX_SAFE_INTEGER))
  .option('--seed <n>', 'the same seed writes the same lines', integer(0, 2 ** 31), 1)
  .option('--namespace <name>', 'of the pods', 'demo')
  .addOption(new Option('--format <format>', 'of the lines').choices(['cri', 'docker']).default('cri'))
  .option('--line-bytes <n>', 'mean size of a line in the file', integer(80, 100_000), 189)
  .option('--stderr <percent>', 'records on stderr', percent, 10)
  .option('--partial <percent>', 'records that the runtime splits', percent, 0)
  .addOption(new Option('--piece-bytes <size>', 'where it splits them').argParser(bytes).default(16 * 1024, '16KiB'))
  .addOption(
    new Option('--rotate-bytes <size>', 'rotate a log at this size; 0: never')
      .argParser(bytes)
      .default(10 * 1024 * 1024, '10MiB'),
  )
  .addOption(new Option('--rotation <how>', 'how logs are rotated').choices(rotationKinds).default('kubelet'))
  .addOption(
    new Option('--gap <duration>', 'between renaming a log and creating the new one')
      .argParser(milliseconds)
      .default(10, '10ms'),
  )
  .option('--keep <n>', 'old generations to keep of each log (default: all)', integer(0, Number.MAX_SAFE_INTEGER))
  .option('--summary <file>', 'what was written, record by record (default: summary.json in --out)')
  .action(async (options) => {
    const stop = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
    await (await import('./generate/command.ts')).runGenerate(options, print, stop.signal)
  })

program.addHelpText(
  'after',
  `
Examples:
  $ tributary up                                        the pipeline with a demo, on http://localhost:3100
  $ tributary up --logs /var/log/containers             the same with the logs of this machine
  $ tributary query '{namespace="demo"} |= "error"' --since 5m
  $ tributary audit                                     proves that nothing is missing
  $ tributary why shop/cart                             where a pod's lines are on this node`,
)

function integer(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max} is needed.`)
    return value
  }
}

function percent(text: string): number {
  const value = Number(text)
  if (!(value >= 0 && value <= 100)) throw new InvalidArgumentError('a number from 0 to 100 is needed.')
  return value
}

function milliseconds(text: string): number {
  const value = parseDuration(text)
  if (value === undefined) throw new InvalidArgumentError('numbers and units are needed, such as 5s or 1h30m.')
  return value
}

/** A bare number counts seconds. */
function seconds(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : milliseconds(text)
}

function bytes(text: string): number {
  const value = parseSize(text)
  if (value === undefined) throw new InvalidArgumentError('a number and a unit are needed, such as 10MiB.')
  return value
}

program.parseAsync().catch((error: Error) => {
  console.error(error.message)
  process.exit(error instanceof ConfigError ? 2 : 1)
})
