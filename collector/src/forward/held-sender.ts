/** For tests: connections whose acknowledgements come when the test says so. */
import type { LedgerIdentity } from '@tributary/protocol/chunk.ts'
import { pino } from 'pino'
import { vi } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import type { Endpoint } from '../resolve/directory.ts'
import { Aggregators, type AggregatorsOptions } from './aggregators.ts'
import { ByteBudget } from './budget.ts'
import { Courier, type CourierOptions } from './courier.ts'
import type { Parcel } from './parcel.ts'
import type { Sender } from './sender.ts'

export class HeldSender
  implements Pick<Sender<Parcel>, 'connected' | 'failures' | 'failure' | 'identity' | 'waiting' | 'silentMs'>
{
  connected = false
  failures = 0
  failure: string | undefined
  identity: LedgerIdentity | undefined
  silentMs = 0
  /** Answers to what asks for a sign of life. */
  alive = true
  flowing = false
  pings = 0
  closed = false
  held: Parcel[] = []
  onOpen = () => {}
  onClose = () => {}
  onAnswer = () => {}
  get waiting(): number {
    return this.held.length
  }
  put(parcel: Parcel): void {
    this.held.push(parcel)
  }
  withdraw(wanted: (parcel: Parcel) => boolean): Parcel[] {
    const taken = this.held.filter(wanted)
    this.held = this.held.filter((parcel) => !taken.includes(parcel))
    return taken
  }
  resume(): void {
    this.flowing = true
  }
  ping(): void {
    this.pings++
    if (this.alive) this.onAnswer()
  }
  redirect(): void {}
  async close(): Promise<void> {
    this.closed = true
  }

  connect(ledger: string | undefined, shared: boolean): void {
    this.connected = true
    this.identity = ledger === undefined ? undefined : { ledger, shared }
    this.onOpen()
  }
  disconnect(): void {
    this.connected = false
    this.flowing = false
    this.failures++
    this.onClose()
  }
  /** Acknowledges the oldest, or all. */
  ack(count = 1): void {
    for (const parcel of this.held.splice(0, count)) parcel.settle({ ack: parcel.id })
    this.onAnswer()
  }
  get ids(): string[] {
    return this.held.map(({ id }) => id)
  }
}

export interface FleetOptions extends Partial<Pick<AggregatorsOptions, 'format' | 'takeoverAfter' | 'ledger'>> {
  readonly budget?: number
  readonly window?: number
}

/** A courier whose aggregators are held. Time passes with {@link Fleet.pass}. */
export class Fleet implements Disposable {
  readonly senders = new Map<string, HeldSender>()
  readonly aggregators: Aggregators
  readonly courier: Courier
  readonly metrics = new CollectorMetrics()
  troubles = 0

  constructor({
    format = 'tributary',
    takeoverAfter = 10_000,
    ledger,
    budget = 1 << 20,
    window = 8,
  }: FleetOptions = {}) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    this.aggregators = new Aggregators({
      open: ({ key }) => {
        const sender = new HeldSender()
        this.senders.set(key, sender)
        return sender as unknown as Sender<Parcel>
      },
      format,
      takeoverAfter,
      ledger,
      onTrouble: () => this.troubles++,
      log: pino({ level: 'silent' }),
      metrics: this.metrics,
    })
    const options: Omit<CourierOptions, 'aggregators'> = {
      ...{ format, compression: 'none', window, budget: new ByteBudget(budget), metrics: this.metrics },
    }
    this.courier = new Courier({ ...options, aggregators: this.aggregators })
  }

  /** These are the present addresses: names of one letter; `S` behind it stands by. */
  list(names: string): void {
    const words = names.split(' ').filter((name) => name !== '')
    this.aggregators.update(words.map(endpoint))
  }

  sender(name: string): HeldSender {
    return this.senders.get(name)!
  }

  /** All connect and keep one shared ledger. */
  connect(names: string, ledger = 'L', shared = true): void {
    for (const name of names.split(' ')) this.sender(name).connect(ledger, shared)
  }

  pass(ms: number): void {
    vi.advanceTimersByTime(ms)
  }

  /** The aggregators that take sources. */
  get inUse(): string {
    return this.aggregators.candidates.map(({ key }) => key).join(' ')
  }

  [Symbol.dispose](): void {
    void this.aggregators.close()
    vi.useRealTimers()
  }
}

function endpoint(word: string): Endpoint {
  const key = word[0]!
  return { key, host: key, port: 1, serverName: '', weight: 1, standby: word.endsWith('S'), from: 'name:1' }
}
