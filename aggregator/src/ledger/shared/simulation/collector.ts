/** A collector process of the simulation: asks what is stored, reads the rest, cut into chunks as it likes, and sends it to anybody. */
import { addRange, type ByteRange, type ByteRanges, uncovered, unionOf } from '@tributary/protocol/ranges.ts'
import { type Aggregator, type Chunk, sourceId } from './aggregator.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** Bytes of each source. */
export const size = 120

export class Collector {
  readonly session: string
  /** By source: what it knows of what an earlier process had acknowledged. */
  readonly keep: readonly number[]
  /** By source: what need not be sent; undefined until the ledger answered. */
  readonly known: (ByteRanges | undefined)[]
  readonly acked: ByteRanges[]
  readonly unacked: Chunk[] = []
  readonly #world: World
  readonly #random: Random
  gone = false

  constructor(world: World, random: Random, session: string, keep: readonly number[]) {
    this.#world = world
    this.#random = random
    this.session = session
    this.keep = keep
    this.known = keep.map(() => undefined)
    this.acked = keep.map((end) => addRange([], [0, end]))
    world.tell(() => `${session} begins, keeps ${JSON.stringify(keep)}`)
  }

  ask(aggregator: Aggregator): void {
    const asked = [...this.known.keys()].filter((source) => this.known[source] === undefined)
    const query = asked.map((source) => ({ source: sourceId(source), keep: this.keep[source]! }))
    aggregator.ledger.ask({ sources: query, session: this.session, waits: () => !this.gone }).then(
      ({ ranges }) => {
        for (const [i, source] of asked.entries()) {
          if (this.gone || !aggregator.alive || this.known[source] !== undefined) continue
          this.known[source] = ranges[i]!
          this.acked[source] = unionOf(this.acked[source]!, ranges[i]!)
          this.#world.tell(() => `${this.session}: ${aggregator.name} has of ${source} ${JSON.stringify(ranges[i])}`)
        }
      },
      () => {}, // asked again
    )
  }

  /** Reads on: the next chunk of a source, with records of any length. */
  read(): Chunk | undefined {
    const source = this.#random.next(this.known.length)
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
    const { source, range, records } = chunk
    this.#world.tell(() => `${this.session} to ${aggregator.name}: ${source}:${[...records, range[1]].join('-')}`)
    aggregator.accept(chunk)?.then(() => {
      if (this.gone || !aggregator.alive) return
      const i = this.unacked.indexOf(chunk)
      if (i !== -1) this.unacked.splice(i, 1)
      this.acked[source] = addRange(this.acked[source]!, range)
      this.#world.tell(() => `${aggregator.name} to ${this.session}: has ${source}:${range.join('-')}`)
    })
  }

  /** How far a source is acknowledged without a gap. */
  prefix(source: number): number {
    const [first] = this.acked[source]!
    return first?.[0] === 0 ? first[1] : 0
  }
}
