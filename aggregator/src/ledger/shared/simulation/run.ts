/** One history of several aggregators and collectors, all of it decided by a seed, and what is wrong with how it ended. */
import { addRange, type ByteRanges, uncovered, unionOf } from '@tributary/protocol/ranges.ts'
import type { AckMode } from '../shared-ledger.ts'
import { Aggregator, goneAfter, pushed, Volume } from './aggregator.ts'
import { Collector, size } from './collector.ts'
import { Random } from './random.ts'
import { type Fate, quiet, type Row, type Step, World } from './world.ts'

export interface Kind {
  readonly ack: AckMode
  /** Aggregators that die may lose their volumes. */
  readonly losesVolumes: boolean
}

export interface History {
  /** What must not be; undefined when all is well. */
  readonly problem: string | undefined
  readonly happened: ReadonlyMap<string, number>
  /** Empty when it was not asked for. */
  readonly trace: readonly string[]
}

const sources = 2
/** Steps until all becomes calm, and how long that may take. */
const stormSteps = 400
const calmSteps = 6000
const lives = 5

/** The same seed gives the same history. */
export async function simulate(kind: Kind, seed: number, traced?: 'traced'): Promise<History> {
  const run = new Run(kind, seed, traced !== undefined)
  await quiet()
  for (let step = 0; step < stormSteps; step++) await run.storm()
  const problem = (await run.calm()) ? run.problem() : 'it does not become calm'
  run.end()
  return { problem, happened: run.world.happened, trace: run.world.trace ?? [] }
}

class Run {
  readonly world: World
  readonly #kind: Kind
  readonly #random: Random
  #aggregators: Aggregator[]
  /** Those of the past too. */
  readonly #all: Aggregator[]
  #collector: Collector
  #sessions = 0
  /** It stands still: nothing that it waits for comes. */
  #stalled: Aggregator | undefined
  /** One in so many steps, where there is another one, may be the end of a while that somebody waits. */
  readonly #whiles: number
  /** What may happen in the storm, and how often. */
  readonly #chances: (readonly [event: () => unknown, weight: number])[]
  #pushes = 0
  /** What was acknowledged. */
  readonly #promised = new Ranges()
  /** What lay on volumes that were lost, and may be missing. */
  readonly #excused = new Ranges()

  constructor(kind: Kind, seed: number, traced: boolean) {
    this.#kind = kind
    this.#random = new Random(seed)
    this.world = new World({ snapshotEntries: this.#random.next(2) === 0 ? 6 : 1e9, traced })
    const names = ['a', 'b', 'c'].slice(0, 2 + this.#random.next(2))
    this.#aggregators = names.map((name) => new Aggregator(this.world, new Volume(name), kind.ack))
    this.#all = [...this.#aggregators]
    this.#collector = new Collector(this.world, this.#random, 's0', Array(sources).fill(0))
    // Histories in which something happens often, or never, get to where those do not that have a little of everything.
    this.#chances = this.#events().map(([weight, event]) => [event, weight * this.#random.of([0, 1, 2, 2, 6])])
    this.#chances.push([() => this.#take(this.#steps(), 'done'), 120])
    this.#whiles = this.#random.of([1, 1, 20, 100])
  }

  #events(): [weight: number, event: () => unknown][] {
    const random = this.#random
    const one = () => random.of(this.#living)
    // Between reads, which are most of what is asked, these are few.
    const few = ['decide', 'insert']
    return [
      [4, () => this.#take(this.#requests(few), random.of(['unanswered', 'late']))],
      [4, () => this.#living.length > 1 && this.#take(this.#requests(few), random.of(['dies before', 'dies after']))],
      [3, () => this.#take(this.#requests(), random.of(['unanswered', 'late']))],
      [1, () => this.#take(this.#requests(), 'refused')],
      [2, () => this.#kill()],
      [4, () => this.#restart()],
      [3, () => this.#look(one())],
      [1, () => this.#later()],
      [
        3,
        () =>
          void one()
            .log.refresh()
            .catch(() => {}),
      ],
      [5, () => this.#collector.ask(one())],
      [6, () => this.#send(this.#collector.read())],
      [5, () => this.#collector.unacked.length > 0 && this.#send(random.of(this.#collector.unacked), 'sent again')],
      [3, () => this.#push(one())],
      [2, () => this.world.arrive(random)],
      [2, () => this.#stall()],
      [1, () => this.#stop()],
      [2, () => this.#sessions < lives && this.#succeed()],
    ]
  }

  /** Something happens, mostly a step of somebody. */
  async storm(): Promise<void> {
    let chance = this.#random.next(this.#chances.reduce((sum, [, weight]) => sum + weight, 0))
    for (const [event, weight] of this.#chances) {
      chance -= weight
      if (chance >= 0) continue
      await event()
      break
    }
    await quiet()
  }

  /** Whoever is dead returns, or is replaced, and everything is sent until it is acknowledged; whether all came to an end. */
  async calm(): Promise<boolean> {
    const { world } = this
    world.tell(() => 'calm')
    this.#stalled = undefined
    for (let step = 0; step < calmSteps && !this.#done; step++) {
      for (const dead of this.#aggregators.filter(({ alive }) => !alive)) this.#replace(dead)
      if (world.steps().length > 0) await this.#take(world.steps(), 'done')
      if (step % 60 === 0) world.time += goneAfter / 3
      if (step % 20 === 0) for (const one of this.#aggregators) this.#look(one)
      if (step % 40 === 0) {
        this.#collector.ask(this.#random.of(this.#aggregators))
        for (let chunk = this.#collector.read(); chunk !== undefined; chunk = this.#collector.read());
        for (const chunk of [...this.#collector.unacked]) this.#send(chunk)
      }
      await quiet()
    }
    return this.#done
  }

  /** What is stored twice or torn, or is missing though it was promised. */
  problem(): string | undefined {
    this.#promise()
    for (const source of [pushed, ...Array(sources).keys()]) {
      const excused = this.#kind.ack === 'wal' ? this.#excused.of(source) : []
      const found = problemOf(this.world.rows(), source, this.#promised.of(source), excused)
      if (found !== undefined) return found
    }
    return undefined
  }

  end(): void {
    for (const one of this.#all) one.end()
  }

  get #living(): Aggregator[] {
    return this.#aggregators.filter(({ alive, stopping }) => alive && !stopping)
  }

  get #done(): boolean {
    const isAcked = this.#collector.acked.every((acked) => uncovered(acked, [0, size]).length === 0)
    return (
      isAcked && this.#aggregators.every(({ alive, isEmpty, log }) => alive && isEmpty && log.state.claims.size === 0)
    )
  }

  /** Those that may come next. */
  #steps(): readonly Step[] {
    const steps = this.world.steps().filter(({ of }) => of !== this.#stalled)
    const requests = steps.filter(({ isWait }) => !isWait)
    return requests.length === 0 || this.#random.next(this.#whiles) === 0 ? steps : requests
  }

  #requests(whats?: readonly string[]): Step[] {
    return this.#steps().filter(({ isWait, what }) => !isWait && (whats?.includes(what) ?? true))
  }

  async #take(steps: readonly Step[], fate: Fate): Promise<void> {
    if (steps.length > 0) await this.world.take(this.#random.of(steps), fate)
  }

  /** At a request, or while nothing of it is on its way. */
  async #kill(): Promise<void> {
    if (this.#living.length < 2) return
    const victim = this.#random.of(this.#living)
    const own = this.#requests().filter(({ of }) => of === victim)
    if (own.length > 0) return await this.#take(own, this.#random.of(['dies before', 'dies after']))
    this.world.tell(() => `${victim.name} dies`)
    void victim.die()
  }

  #stall(): void {
    this.#stalled = this.#random.next(3) === 0 ? undefined : this.#random.of(this.#living)
    this.world.tell(() => (this.#stalled === undefined ? 'nobody stands still' : `${this.#stalled.name} stands still`))
  }

  #restart(): void {
    const dead = this.#aggregators.filter(({ alive }) => !alive)
    if (dead.length > 0) this.#replace(this.#random.of(dead))
  }

  /** One that is told to stop may take its volume with it: it leaves nothing there. */
  #stop(): void {
    if (this.#living.length < 2) return
    const one = this.#random.of(this.#living)
    this.world.tell(() => `${one.name} is told to stop`)
    one.stop()
  }

  #replace(dead: Aggregator): void {
    const { world } = this
    let { volume } = dead
    if (dead.stopping && dead.isEmpty) {
      world.count('left empty')
      volume = new Volume(`${volume.name}'`)
    } else if (this.#kind.losesVolumes && this.#random.next(2) === 0) {
      world.count('volume lost')
      for (const [source, ranges] of volume.unstored()) this.#excused.add(source, ranges)
      volume = new Volume(`${volume.name}'`)
    }
    world.tell(() => `${dead.name} returns as ${volume.name}`)
    const successor = new Aggregator(world, volume, this.#kind.ack)
    this.#all.push(successor)
    this.#aggregators = this.#aggregators.map((one) => (one === dead ? successor : one))
  }

  #later(): void {
    this.world.time += goneAfter / 2 + this.#random.next(goneAfter)
    this.#look(this.#random.of(this.#living))
  }

  #look(one: Aggregator): void {
    void one.log.refresh().catch(() => {})
    void one.resolver.look().catch(() => {})
  }

  #send(chunk: Parameters<Collector['send']>[0] | undefined, what?: string): void {
    const living = this.#living
    if (chunk === undefined || living.length === 0) return
    if (what !== undefined) this.world.count(what)
    this.#collector.send(chunk, this.#random.of(living))
  }

  #push(to: Aggregator): void {
    const first = 2 * this.#pushes++
    const row = (at: number): Row => ({ source: pushed, range: [at, at + 1] })
    this.world.tell(() => `push ${first} to ${to.name}`)
    to.push({ rows: [row(first), row(first + 1)] }).then(() => {
      if (to.alive) this.#promised.add(pushed, [[first, first + 2]])
    })
  }

  /** Another collector process begins. */
  #succeed(): void {
    this.#promise()
    const last = this.#collector
    last.gone = true
    // A checkpoint is durable later than what it stands for.
    const keep = last.keep.map((kept, source) => (this.#random.next(2) === 0 ? kept : last.prefix(source)))
    this.#collector = new Collector(this.world, this.#random, `s${++this.#sessions}`, keep)
  }

  #promise(): void {
    for (const [source, acked] of this.#collector.acked.entries()) this.#promised.add(source, acked)
  }
}

/** Of each source. */
class Ranges {
  readonly #ranges = new Map<number, ByteRanges>()

  of(source: number): ByteRanges {
    return this.#ranges.get(source) ?? []
  }

  add(source: number, ranges: ByteRanges): void {
    this.#ranges.set(source, unionOf(this.of(source), ranges))
  }
}

export function problemOf(
  rows: readonly Row[],
  source: number,
  promised: ByteRanges,
  excused: ByteRanges,
): string | undefined {
  const own = rows.filter((row) => row.source === source).map(({ range }) => range)
  own.sort(([a], [b]) => a - b)
  const all = own.map((range) => range.join('-')).join(' ')
  let end = 0
  for (const [first, last] of own) {
    if (first < end) return `bytes of source ${source} are stored twice, at ${first}: ${all}`
    end = last
  }
  const stored = own.reduce(addRange, [] as ByteRanges)
  const missing = promised.flatMap((range) => uncovered(stored, range)).flatMap((range) => uncovered(excused, range))
  if (missing.length === 0) return undefined
  return `acknowledged bytes of source ${source} are missing, ${JSON.stringify(missing)}: ${all}`
}
