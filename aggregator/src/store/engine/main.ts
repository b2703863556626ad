/**
 * The engine process: chDB behind ClickHouse's HTTP interface. It is started by the aggregator (embedded.ts), works for that process
 * only, and leaves when that process is gone. A query that runs away or crashes the engine takes nothing else down.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isFull } from '@tributary/protocol/disk.ts'
import { baseSettings, engineConfig } from './engine-config.ts'
import { Executor } from './executor.ts'
import { LockedError, lockDirectory } from './lock.ts'
import type { EngineOptions, FromEngine, Tell, ToEngine } from './messages.ts'
import { clusterConfig } from './one-node-cluster.ts'
import { repairTables } from './repair.ts'
import { EngineServer } from './server.ts'
import { SessionPool } from './session-pool.ts'
import { Spool, spoolDirectory } from './spool.ts'

/** How long requests under way may take when the engine is told to close, in milliseconds. */
const drainTime = 8_000

/** Resolves when the message is on its way; at once when nobody is there to take it. */
function send(message: FromEngine): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, undefined, () => resolve())
    else resolve()
  })
}

/** Leaves a file alone that is as it should be, so that the store opens on a full disk. */
async function writeConfig(path: string, text: string): Promise<void> {
  const present = await readFile(path, 'utf8').catch(() => '') // missing, or to be replaced
  if (present !== text) await writeFile(path, text, { mode: 0o600 })
}

const tell: Tell = (level, message, fields = {}) => void send({ kind: 'log', level, message, fields })

async function open(options: EngineOptions): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack()
  await mkdir(options.directory, { recursive: true, mode: 0o700 })
  stack.use(await lockDirectory(options.directory))
  const data = join(options.directory, 'data')
  const configFile = join(options.directory, 'engine.xml')
  const more = (options.cluster === undefined ? '' : clusterConfig(options.cluster)) + (options.extraConfig ?? '')
  await writeConfig(configFile, engineConfig(options.memoryBytes, more))
  const spool = await Spool.open(spoolDirectory(options.directory))
  await repairTables(data, tell)
  const pool = await SessionPool.open(data, configFile, options.database, (purpose) =>
    baseSettings(options.memoryBytes, purpose),
  )
  stack.defer(() => pool.close())
  const onBroken = async (part: string, why: string) => {
    const message = 'the store engine made a broken part, which is set aside, and is started anew'
    await send({ kind: 'log', level: 'error', message, fields: { part, why } })
    process.kill(process.pid, 'SIGKILL')
    return await new Promise<never>(() => {}) // nobody may be told that the rows are there
  }
  const server = new EngineServer(options, new Executor(pool, spool, onBroken))
  const port = await server.listen()
  stack.defer(() => server.close(drainTime))
  await send({ kind: 'ready', port })
  return stack
}

async function main(options: EngineOptions, end: Promise<void>): Promise<void> {
  try {
    await using _engine = await open(options)
    await end
  } catch (error) {
    const reason = error instanceof LockedError ? 'locked' : isFull(error) ? 'full' : 'broken'
    await send({ kind: 'failed', reason, message: error instanceof Error ? error.message : String(error) })
    process.exitCode = 1
  }
  // What the engine's own threads still hold must not keep the process; nothing of ours is pending any more.
  process.exit()
}

const { promise: end, resolve: stop } = Promise.withResolvers<void>()
process.once('disconnect', stop)
// Ctrl-C reaches the whole process group. The aggregator drains into the store first and then says when to close.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.on('message', (message: ToEngine) => {
  if (message.kind === 'close') stop()
  else void main(message.options, end)
})
