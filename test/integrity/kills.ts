/** Kills collector, aggregator and engine at random moments while containers write and rotate. */
import { watch } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pipeline } from '../harness/processes.ts'
import { randomFrom } from '../harness/random.ts'
import { conclude, type Load, type Outcome, Writer } from './run.ts'

export interface KillOptions {
  readonly name: string
  readonly seed: number
  readonly loads: readonly Load[]
  /** At least so many, and on for as long as there is writing. */
  readonly kills: number
  /** Mean time between two, milliseconds. */
  readonly everyMs: number
  readonly settleMs: number
}

const victims = ['collector', 'aggregator', 'engine'] as const

export async function killAndCompare(options: KillOptions): Promise<Outcome> {
  const random = randomFrom(options.seed)
  await using pipeline = await Pipeline.start({ collector: { logs: { scanInterval: '200ms' } } })
  const writers = options.loads.map((load) => new Writer(pipeline, { seed: options.seed, ...load }))
  const kills = { collector: 0, aggregator: 0, engine: 0 }
  const total = () => kills.collector + kills.aggregator + kills.engine
  while (total() < options.kills || writers.some(({ writing }) => writing)) {
    await sleep(random(2 * options.everyMs))
    // Where it hurts most: between a block's insert and the note that it is done.
    if (random(2) === 0) await insertBegins(pipeline, 1500).then(() => sleep(random(100)))
    const victim = victims[random(victims.length)]!
    if (victim === 'engine') {
      if (pipeline.killEngine()) kills.engine++
      continue
    }
    await pipeline[victim].kill()
    kills[victim]++
    // At once, as a supervisor would, or after a while, as a kubelet that backs off.
    if (random(3) === 0) await sleep(random(1000))
    pipeline[victim].start()
  }
  const truths = await Promise.all(writers.map((writer) => writer.truth()))
  const { collector, aggregator } = pipeline
  // An aggregator whose engine is killed while it opens gives up and is started again; nothing else may end by itself.
  if (collector.unexpectedExits > 0 || aggregator.unexpectedExits > kills.engine)
    throw new Error(`a process ended by itself:\n${aggregator.output}\n${collector.output}`)
  const events = {
    'kills of the collector': kills.collector,
    'of the aggregator': kills.aggregator,
    'of the engine': kills.engine,
  }
  return await conclude(pipeline, truths, { name: options.name, seed: options.seed, events }, options.settleMs)
}

/** Waits until the loader has written down which block it inserts next, which it does just before; at most `deadlineMs`. */
async function insertBegins(pipeline: Pipeline, deadlineMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, deadlineMs)
  const watcher = watch(pipeline.dataDir, (_, name) => {
    if (name === 'cursor') resolve()
  })
  await promise
  watcher.close()
  clearTimeout(timer)
}
