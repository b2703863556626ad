/**
 * Several aggregators and collectors over a shared ledger, with deaths before and after every request to the store, answers that never come,
 * chunks sent to several aggregators, collectors that begin anew and group records otherwise: no byte is stored twice, no record torn, and
 * none missing that the acknowledgement promised.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { addRange, type ByteRange, type ByteRanges, uncovered, unionOf } from '@tributary/protocol/ranges.ts'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import type { AckMode } from './shared-ledger.ts'
import { Aggregator, type Chunk, type Fate, goneAfter, type Row, sourceId, Volume, World } from './simulation.ts'

const sources = 2
const size = 120

class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  /** Below n. */
  next(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
  of<T>(list: readonly T[]): T {
    return list[this.next(list.length)]!
  }
}

/** One collector process; what it knows of what an earlier one had acknowledged is `keep`. */
class Collector {
  readonly session: string
  readonly keep: readonly number[]
  /** By source: what need not be sent; undefined until the ledger answered. */
  readonly known: (ByteRanges | undefined)[]
  readonly acked: ByteRanges[]
  readonly unacked: Chunk[] = []
  readonly #random: Random
  gone = false

  constructor(session: string, random: Random, keep: readonly number[]) {
    this.session = session
    this.keep = keep
    this.#random = random
    this.known = keep.map(() => undefined)
    this.acked = keep.map((end) => addRange([], [0, end]))
  }

  ask(aggregator: Aggregator): void {
    const asked = [...Array(sources).keys()].filter((source) => this.known[source] === undefined)
    const query = asked.map((source) => ({ source: sourceId(source), keep: this.keep[source]! }))
    aggregator.ledger.ask({ sources: query, session: this.session, waits: () => !this.gone }).then(
      ({ ranges }) => {
        for (const [i, source] of asked.entries()) {
          if (this.gone || this.known[source] !== undefined) continue
          this.known[source] = ranges[i]!
          this.acked[source] = unionOf(this.acked[source]!, ranges[i]!)
        }
      },
      () => {}, // asked again
    )
  }

  /** Reads on: the next chunk of a source, with records of any length. */
  read(): Chunk | undefined {
    const source = this.#random.next(sources)
    const known = this.known[source]
    if (known === undefined) return undefined
    const gap = uncovered(known, [0, size])[0]
    if (gap === undefined) return undefined
    const range: ByteRange = [gap[0], Math.min(gap[1], gap[0] + 5 + this.#random.next(40))]
    const records: number[] = []
    for (let first = range[0]; first < range[1]; first += 2 + this.#random.next(12)) records.push(first)
    this.known[source] = addRange(known, range)
    const chunk = { source, range, records, session: this.session }
    this.unacked.push(chunk)
    return chunk
  }

  send(chunk: Chunk, aggregator: Aggregator): void {
    aggregator.accept(chunk)?.then(() => {
      if (this.gone || !aggregator.alive) return
      const i = this.unacked.indexOf(chunk)
      if (i !== -1) this.unacked.splice(i, 1)
      this.acked[chunk.source] = addRange(this.acked[chunk.source]!, chunk.range)
    })
  }

  /** How far a source is acknowledged without a gap. */
  prefix(source: number): number {
    const [first] = this.acked[source]!
    return first?.[0] === 0 ? first[1] : 0
  }
}

const reached = new Map<string, number>()

interface Run {
  readonly seed: number
  readonly ack: AckMode
  /** Aggregators that die may lose their volumes. */
  readonly losesVolumes: boolean
}

async function simulate({ seed, ack, losesVolumes }: Run): Promise<void> {
  const random = new Random(seed)
  const world = new World(random.next(2) === 0 ? 6 : 1e9)
  const volumes = ['a', 'b', 'c'].slice(0, 2 + random.next(2)).map((name) => new Volume(name))
  let aggregators = volumes.map((volume) => new Aggregator(world, volume, ack))
  let collector = new Collector('s0', random, Array(sources).fill(0))
  /** What was acknowledged, and by whom it was held when its aggregator was lost with its volume. */
  const promised: ByteRanges[] = Array(sources).fill([])
  const excused: ByteRanges[] = Array(sources).fill([])
  let lives = 0
  const living = () => aggregators.filter(({ alive }) => alive)
  const pending = (whats?: readonly string[]) =>
    world.waiting.filter(({ of, what }) => of.alive && (whats === undefined || whats.includes(what)))
  const release = async (fate: Fate, whats?: readonly string[]) => {
    const candidates = pending(whats)
    if (candidates.length === 0) return void (await sleep(1))
    const request = random.of(candidates)
    world.waiting.splice(world.waiting.indexOf(request), 1)
    if (fate !== 'done') world.count(fate)
    if (fate === 'unanswered' || fate.startsWith('dies')) world.count(`${fate}: ${request.what}`)
    request.go(fate)
    await turn()
    await turn()
  }
  const restart = (dead: Aggregator) => {
    let { volume } = dead
    if (losesVolumes && random.next(2) === 0) {
      world.count('volume lost')
      for (let i = volume.cursor; i < volume.wal.length; i++) {
        const { source } = volume.wal[i]!
        excused[source] = unionOf(excused[source]!, volume.accepted[i]!)
      }
      volume = new Volume(`${volume.name}'`)
    }
    aggregators = aggregators.map((one) => (one === dead ? new Aggregator(world, volume, ack) : one))
  }
  /** Between reads, which are most of what is asked, these are few: without more of it hardly any would meet anything. */
  const few = ['decide', 'insert']
  for (let step = 0; step < 260; step++) {
    const kind = random.next(100)
    if (pending(few).length > 0 && living().length > 1 && random.next(12) === 0)
      await release(random.of(['dies before', 'dies after', 'unanswered']), few)
    else if (kind < 62) await release('done')
    else if (kind < 65) await release('unanswered')
    else if (kind < 66) await release('refused')
    else if (kind < 68 && living().length > 1) await release(random.of(['dies before', 'dies after']))
    else if (kind < 72) {
      const dead = aggregators.filter(({ alive }) => !alive)
      if (dead.length > 0) restart(random.of(dead))
    } else if (kind < 76) {
      if (random.next(3) === 0) world.time += goneAfter / 2 + random.next(goneAfter)
      const one = random.of(living())
      void one.log.refresh().catch(() => {})
      void one.resolver.look().catch(() => {})
    } else if (kind < 80)
      void random
        .of(living())
        .log.refresh()
        .catch(() => {})
    else if (kind < 84) collector.ask(random.of(living()))
    else if (kind < 92) {
      const chunk = collector.read()
      if (chunk !== undefined) collector.send(chunk, random.of(living()))
    } else if (kind < 98) {
      if (collector.unacked.length > 0) {
        world.count('sent again')
        collector.send(random.of(collector.unacked), random.of(living()))
      }
    } else if (lives < 3) {
      lives++
      for (let i = 0; i < sources; i++) promised[i] = unionOf(promised[i]!, collector.acked[i]!)
      collector.gone = true
      // A checkpoint is durable later than what it stands for.
      const keep = [...Array(sources).keys()].map((source) =>
        random.next(3) === 0 ? collector.keep[source]! : collector.prefix(source),
      )
      collector = new Collector(`s${lives}`, random, keep)
    }
  }
  // Calm: whoever is dead returns, or is replaced, and everything is sent until it is acknowledged.
  for (const dead of aggregators.filter(({ alive }) => !alive)) restart(dead)
  const done = () =>
    collector.acked.every((acked) => uncovered(acked, [0, size]).length === 0) &&
    aggregators.every(({ volume, log }) => volume.cursor === volume.wal.length && log.state.claims.size === 0)
  for (let round = 0; round < 4000 && !done(); round++) {
    if (world.waiting.some(({ of }) => of.alive)) await release('done')
    else await sleep(0)
    if (round % 7 === 0) world.time += goneAfter / 3
    if (round % 20 === 0) {
      for (const one of aggregators) {
        void one.log.refresh().catch(() => {})
        void one.resolver.look().catch(() => {})
      }
    }
    if (round % 40 === 0) {
      collector.ask(random.of(aggregators))
      for (let chunk = collector.read(); chunk !== undefined; chunk = collector.read());
      for (const chunk of collector.unacked) collector.send(chunk, random.of(aggregators))
    }
  }
  for (const [what, count] of world.happened) reached.set(what, (reached.get(what) ?? 0) + count)
  for (let i = 0; i < sources; i++) promised[i] = unionOf(promised[i]!, collector.acked[i]!)
  const context = `seed ${seed} ${ack}`
  expect(done(), `${context}: it does not become calm`).toBe(true)
  for (let source = 0; source < sources; source++)
    check(world.rows(), source, promised[source]!, losesVolumes && ack === 'wal' ? excused[source]! : [], context)
  for (const one of aggregators) one.alive = false
}

function check(rows: readonly Row[], source: number, promised: ByteRanges, excused: ByteRanges, context: string): void {
  const own = rows.filter((row) => row.source === source).map(({ range }) => range)
  own.sort(([a], [b]) => a - b)
  let end = 0
  for (const [first, last] of own) {
    expect(
      first,
      `${context}: bytes of source ${source} twice, at ${first}: ${JSON.stringify(own)}`,
    ).toBeGreaterThanOrEqual(end)
    end = last
  }
  const stored = own.reduce(addRange, [] as ByteRanges)
  const missing = promised.flatMap((range) => uncovered(stored, range)).flatMap((range) => uncovered(excused, range))
  expect(missing, `${context}: acknowledged bytes of source ${source} are missing`).toEqual([])
}

const kinds: Omit<Run, 'seed'>[] = [
  { ack: 'wal', losesVolumes: false },
  { ack: 'wal', losesVolumes: true },
  { ack: 'stored', losesVolumes: true },
]

/** Of each kind; RUNS=1000 looks further. */
const numRuns = Number(process.env['RUNS'] ?? 40)

test.for(kinds)(
  'ack: $ack, volumes lost: $losesVolumes: all that was promised is stored, once and whole',
  { timeout: numRuns * 5000 },
  async (kind) => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), (seed) => simulate({ seed, ...kind })),
      { numRuns, endOnFailure: true },
    )
  },
)

afterAll(() => {
  const hard = [
    'conflict',
    'sent again',
    'void',
    'void in part',
    'resolved as stored',
    'claimed anew',
    'finished later',
    'snapshot',
    'volume lost',
  ]
  const deaths = ['append', 'insert', 'decide'].flatMap((what) => [`dies before: ${what}`, `dies after: ${what}`])
  for (const what of [...hard, ...deaths, 'unanswered: insert', 'unanswered: append'])
    expect(
      reached.get(what) ?? 0,
      `never happened: ${what}; ${JSON.stringify(Object.fromEntries(reached))}`,
    ).toBeGreaterThan(0)
})
