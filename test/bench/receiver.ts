/** `receiver` and `store`: prepared chunks into a whole aggregator; what acknowledging costs, and what loading costs. */

import { Sender } from '@tributary/collector/forward/sender.ts'
import { CollectorMetrics } from '@tributary/collector/metrics.ts'
import { pino } from 'pino'
import { Pipeline, until } from '../harness/processes.ts'
import { withBundledAggregator } from './bundled.ts'
import { type Prepared, prepareChunks, totals, writeCorpus } from './corpus.ts'
import { cpuSeconds, peakRss } from './measure.ts'
import type { BenchResult } from './result.ts'

const lines = 3_000_000
const window = 64

interface Cost {
  readonly lines: number
  readonly bytes: number
  /** CPU seconds of the aggregator's process while it received; of the same process while it loaded; of the engine. */
  readonly receiveCpu: number
  readonly loadCpu: number
  readonly engineCpu: number
  readonly peakMiB: number
  readonly enginePeakMiB: number
}

let measured: Promise<Cost> | undefined

export async function run(): Promise<BenchResult> {
  const cost = await (measured ??= withBundledAggregator(measure))
  return {
    bench: 'receiver',
    what: `${lines / 1e6} M lines in chunks of 256 KiB, zstd, over one connection: socket to ledger, write-ahead log, fdatasync and ack. The aggregator's process, from its bundle as the image runs it, while its engine is stopped and nothing is loaded`,
    figures: [
      {
        name: 'socket to durable and acknowledged',
        value: cost.lines / cost.receiveCpu,
        unit: 'lines/CPU-s',
        goal: { atLeast: 2_000_000 },
      },
      { name: 'the same, per CPU', value: cost.bytes / 1e6 / cost.receiveCpu, unit: 'MB/CPU-s' },
      { name: "peak memory of the aggregator's process", value: cost.peakMiB, unit: 'MiB RSS' },
    ],
  }
}

export async function runStore(): Promise<BenchResult> {
  const cost = await (measured ??= withBundledAggregator(measure))
  return {
    bench: 'store',
    what: `the same ${lines / 1e6} M lines from the write-ahead log into the embedded store: the aggregator's process and the engine's, from the bundle`,
    figures: [
      {
        name: 'write-ahead log to queryable row',
        value: cost.lines / (cost.loadCpu + cost.engineCpu),
        unit: 'lines/CPU-s',
        goal: { atLeast: 150_000 },
      },
      { name: 'of that the loader', value: cost.lines / cost.loadCpu, unit: 'lines/CPU-s' },
      { name: 'of that the engine', value: cost.lines / cost.engineCpu, unit: 'lines/CPU-s' },
      { name: 'peak memory of the engine', value: cost.enginePeakMiB, unit: 'MiB RSS' },
    ],
  }
}

async function measure(aggregatorScript: string): Promise<Cost> {
  await using pipeline = await Pipeline.create({ aggregatorScript })
  const truth = await writeCorpus(pipeline.logs, lines)
  const chunks = prepareChunks(truth)
  pipeline.aggregator.start()
  await pipeline.ready()
  const pid = pipeline.aggregator.pid!
  const engine = pipeline.enginePid()!
  const total = totals(truth).lines
  // The engine stands still while chunks are received: the loader waits for it, and what the process costs is receiving.
  process.kill(engine, 'SIGSTOP')
  const idle = cpuSeconds(pid)
  await feed(`127.0.0.1:${pipeline.forwardPort}`, chunks)
  const received = cpuSeconds(pid)
  const loadedEarly = (await pipeline.metric('aggregator_load_cpu_seconds_total')) ?? 0
  process.kill(engine, 'SIGCONT')
  const engineBefore = cpuSeconds(engine)
  const rows = async () => (await pipeline.metric('aggregator_load_rows_total')) === total
  await until(rows, 240_000, () => `not all of ${total} rows were loaded`, 500)
  return {
    lines: total,
    bytes: totals(truth).bytes,
    receiveCpu: received - idle - loadedEarly,
    loadCpu: cpuSeconds(pid) - received + loadedEarly,
    engineCpu: cpuSeconds(engine) - engineBefore,
    peakMiB: peakRss(pid) / 2 ** 20,
    enginePeakMiB: peakRss(engine) / 2 ** 20,
  }
}

/** Sends chunks with up to so many unacknowledged, until all are acknowledged. */
export async function feed(address: string, chunks: readonly Prepared[]): Promise<void> {
  const sender = new Sender({
    name: address,
    to: { host: '127.0.0.1', port: Number(address.split(':')[1]), serverName: '' },
    credentials: () => ({ hostname: 'bench' }),
    ackTimeout: 60_000,
    identify: false,
    log: pino({ level: 'silent' }),
    metrics: new CollectorMetrics(),
  })
  sender.onOpen = () => sender.resume()
  const waiting = new Set<Promise<unknown>>()
  for (const { id, message } of chunks) {
    const acked: Promise<unknown> = new Promise((settle) =>
      sender.put({ id, pieces: message, writing: 0, settle }),
    ).then(() => waiting.delete(acked))
    waiting.add(acked)
    if (waiting.size >= window) await Promise.race(waiting)
  }
  await Promise.all(waiting)
  await sender.close()
}
