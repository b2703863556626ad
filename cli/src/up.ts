/** `tributary up`: the whole pipeline on this machine, until Ctrl-C. */
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nodeEnvironment, nodeFlags } from '@tributary/collector/node-flags.ts'
import { lockDirectory } from '@tributary/protocol/directory-lock.ts'
import { makeNamedDirectory, nodeDisk } from '@tributary/protocol/disk.ts'
import { scriptFile } from '@tributary/protocol/script-file.ts'
import { stringify } from 'yaml'
import { Child } from './child.ts'
import { demoLogs, runDemo } from './demo.ts'
import { tryPort } from './free-port.ts'
import { StatusLine } from './status-line.ts'

export interface UpOptions {
  /** Directory of logs to read; the demo's without it. */
  readonly logs?: string
  readonly data: string
  readonly port: number
}

interface Plan {
  readonly data: string
  readonly logs: string
  readonly port: number
  readonly forwardPort: number
  readonly collectorPort: number
}

const loopback = '127.0.0.1'
const drainMs = 30_000

/** Runs until the signal, then drains and stops; a second call of `force` gives up draining. */
export async function runUp(options: UpOptions, stop: AbortSignal, force: AbortSignal): Promise<void> {
  const data = resolve(options.data)
  await makeNamedDirectory(nodeDisk, '--data', data)
  await using _one = await lockDirectory(data, {
    key: '--data',
    patience: 0,
    warn: (_, message) => console.error(message),
  })
  if ((await tryPort(loopback, options.port)) === undefined) {
    throw new Error(`port ${options.port} is in use; choose another with --port, such as --port ${options.port + 1}`)
  }
  const demo = options.logs === undefined ? join(data, 'demo') : undefined
  const plan: Plan = {
    data,
    logs: demo === undefined ? resolve(options.logs!) : demoLogs(demo),
    port: options.port,
    forwardPort: (await tryPort(loopback, 24224)) ?? (await tryPort(loopback, 0))!,
    collectorPort: (await tryPort(loopback, 2020)) ?? (await tryPort(loopback, 0))!,
  }
  const children = startChildren(plan)
  const killAll = () => {
    for (const child of children.all) child.kill()
  }
  force.addEventListener('abort', killAll, { once: true })
  const demoStop = new AbortController()
  const writing = demo === undefined ? undefined : runDemo(demo, demoStop.signal)
  try {
    if (await ready(plan, children.deaths, stop)) {
      announce(plan, demo !== undefined)
      await new StatusLine(plan, children.deaths).run(stop)
    }
  } finally {
    demoStop.abort()
    await writing
    console.log('Stopping: what was read is being stored. Ctrl-C again to give up.')
    await children.collector.stop(drainMs)
    await children.aggregator.stop(drainMs)
  }
}

function startChildren(plan: Plan) {
  const { data, logs, port, forwardPort, collectorPort } = plan
  const deaths = { count: 0 }
  const quiet = process.stdout.isTTY
  const child = (name: 'collector' | 'aggregator', config: object, execArgv: readonly string[]) => {
    const file = join(data, `${name}.yaml`)
    writeFileSync(file, `# Written by tributary up at every start.\n${stringify(config)}`)
    const script = fileURLToPath(scriptFile(import.meta.url, `../../${name}/src/main.ts`, name))
    return new Child({
      name,
      script,
      args: ['--config', file],
      execArgv,
      environment: {
        NODE_COMPILE_CACHE: join(data, 'compile-cache'),
        ...(name === 'collector' ? nodeEnvironment : {}),
      },
      ...(quiet ? { logFile: join(data, `${name}.out`) } : {}),
      onDeath: (which, how) => {
        deaths.count++
        console.error(
          `The ${which} ended unexpectedly (${how}) and is started again${quiet ? `; see ${join(data, `${which}.out`)}` : ''}.`,
        )
      },
    })
  }
  const aggregator = child(
    'aggregator',
    {
      dataDir: join(data, 'aggregator'),
      forward: { listen: loopback, port: forwardPort },
      http: { listen: loopback, port },
      // Of a disk that is not the store's alone, a part is much, and what fills it may be anything else.
      store: { minFreeDisk: '1GiB' },
    },
    [],
  )
  const collector = child(
    'collector',
    {
      stateDir: join(data, 'collector'),
      logs: { path: logs },
      // What it reads belongs to no cluster, also where this runs in one.
      kubernetes: { enabled: false },
      aggregator: { address: `${loopback}:${forwardPort}` },
      http: { listen: loopback, port: collectorPort },
    },
    nodeFlags,
  )
  return { aggregator, collector, all: [collector, aggregator], deaths }
}

/** What can't start three times won't start. */
const maxEarlyDeaths = 3

/** Waits for the aggregator; false when told to stop before. Throws when it can't start. */
async function ready({ port }: Plan, deaths: { readonly count: number }, stop: AbortSignal): Promise<boolean> {
  for (let waited = 0; !stop.aborted; waited++) {
    if (deaths.count >= maxEarlyDeaths) throw new Error('It does not start; why is said above.')
    const answer = await fetch(`http://${loopback}:${port}/ready`).catch(() => undefined)
    if (answer?.ok) return true
    if (waited === 300) console.error('The aggregator is not ready after a minute; still waiting. It says why above.')
    await sleep(200, undefined, { signal: stop }).catch(() => undefined)
  }
  return false
}

function announce({ port, logs, data }: Plan, demo: boolean): void {
  console.log(`Tributary is running: http://localhost:${port}`)
  console.log(`  logs  ${logs}${demo ? ' (a demo that writes and rotates; read your own with --logs DIR)' : ''}`)
  console.log(`  data  ${data}`)
  console.log(
    `  try   npx tributary query '{namespace="demo"} |= "error"'${port === 3100 ? '' : ` --addr http://localhost:${port}`}`,
  )
}
