/** For tests of the input: a node with a collector, a stand-in for the aggregator, and applications. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestSender } from '@tributary/aggregator/receive/test-sender.ts'
import { decode, EventTime, encode, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import { pino } from 'pino'
import { Sink, type SinkOptions } from '../../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from '../collector.ts'
import { collectorConfig } from '../config.ts'

export interface StartOptions {
  /** Only at the first start: the sink is there for the whole test. */
  readonly sink?: SinkOptions
  /** `input.forward`. */
  readonly input?: Record<string, unknown>
  readonly [section: string]: unknown
}

export class TestNode {
  readonly root = mkdtempSync(join(tmpdir(), 'tributary-input-'))
  readonly #running = new Set<RunningCollector>()
  readonly #senders: TestSender[] = []
  #sink: Sink | undefined

  constructor() {
    mkdirSync(join(this.root, 'logs'))
  }

  get sink(): Sink {
    return this.#sink!
  }

  /** A collector that sends to the sink, its Forward port on. */
  async start({ sink, input, ...overrides }: StartOptions = {}): Promise<RunningCollector> {
    this.#sink ??= await Sink.listen({ keep: true, ...sink })
    const config = collectorConfig.parse({
      node: 'n1',
      stateDir: join(this.root, 'state'),
      logs: { path: join(this.root, 'logs'), scanInterval: '50ms', flushInterval: '20ms' },
      aggregator: { address: this.sink.address, ackTimeout: '300ms' },
      http: { listen: '127.0.0.1', port: 0 },
      shutdown: { drain: '0s' },
      input: { forward: { enabled: true, port: 0, ...input } },
      ...overrides,
    })
    const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
    this.#running.add(collector)
    return collector
  }

  async stop(collector: RunningCollector): Promise<void> {
    if (this.#running.delete(collector)) await collector.close()
  }

  /** An application. */
  async client(collector: RunningCollector): Promise<TestSender> {
    const sender = await TestSender.connect(collector.inputPort!)
    this.#senders.push(sender)
    return sender
  }

  /** The lines that reached the sink, of packed messages of one record. */
  lines(): string[] {
    return this.sink.relayed.map(({ message }) => (decode(message.entries) as [unknown, { log: string }])[1].log)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sender of this.#senders) sender.close()
    await Promise.all([...this.#running].map((one) => this.stop(one)))
    await this.#sink?.[Symbol.asyncDispose]()
    rmSync(this.root, { recursive: true, force: true })
  }
}

export async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await what()); await sleep(10))
    if (Date.now() > end) throw new Error('never came true')
}

/** The sum of `collector_input_<name>` over its labels. */
export async function counted(collector: RunningCollector, name: string): Promise<number> {
  const { values } = await collector.metrics.registry.getSingleMetric(`collector_input_${name}`)!.get()
  return values.reduce((sum, { value }) => sum + value, 0)
}

/** One packed message of one record. */
export function message(line: string, chunk?: string): Buffer {
  return encode(['app', encode([new EventTime(5, 6), { log: line }]), chunk === undefined ? {} : { chunk }])
}

/** What a peer answers, as it comes. */
export function collect(socket: Socket): unknown[] {
  const answers: unknown[] = []
  const splitter = new ValueSplitter(1 << 20)
  socket.on('data', (data) => answers.push(...splitter.push(data).map((value) => decode(value))))
  socket.on('error', () => {})
  return answers
}

/** `0` to `n` - 1. */
export const numbers = (n: number) => Array.from({ length: n }, (_, i) => String(i))
