/** A block of the simulation's loader: which rows it has, by day, and what is to be claimed for them. */
import { addRange, type ByteRange, type ByteRanges, uncovered } from '@tributary/protocol/ranges.ts'
import type { BlockScope } from '../../../load/claim-block.ts'
import type { ClaimableBlock } from '../../../load/shared-loader.ts'
import { meet } from '../claim-request.ts'
import type { BlockRange, Claim, ClaimPart } from '../entry.ts'
import { hex, pushed, type Volume } from './aggregator.ts'
import type { Row } from './world.ts'

/** Most chunks have rows of both days, and all pushes. */
function dayOfRow({ source, range: [first] }: Row): number {
  return (source === pushed ? first % 2 : Math.floor(first / 30) % 3) === 1 ? 101 : 100
}

/** Entries are numbers of the volume's chunks. */
export class SimulatedBlock implements ClaimableBlock<number> {
  readonly days = new Map<number, Row[]>()
  readonly bytes = 0
  readonly #volume: Volume
  readonly #scope: BlockScope
  readonly #parts: ClaimPart[] = []
  readonly #taken = new Map<number, ByteRanges>()

  constructor(volume: Volume, scope: BlockScope) {
    this.#volume = volume
    this.#scope = scope
  }

  get rows(): number {
    return [...this.days.values()].reduce((sum, rows) => sum + rows.length, 0)
  }

  async add(entry: number): Promise<void> {
    const taken = this.#volume.wal[entry]!
    if ('rows' in taken) {
      for (const row of taken.rows) if (!this.#scope.stored.includes(dayOfRow(row))) this.#put(row)
      return
    }
    const { source, session, records, range } = taken
    const { granted, exclusions } = this.#scope
    const isOf = (one: { readonly source: string; readonly session?: string | undefined }) =>
      one.source === hex(source) && one.session === session
    let allowed = [...this.#volume.accepted[entry]!]
    if (granted !== undefined) allowed = meet(allowed, union(granted.filter(isOf)))
    const without = union([...exclusions.filter(isOf), { ranges: this.#taken.get(source) ?? [] }])
    allowed = allowed.flatMap((one) => uncovered(without, one))
    if (allowed.length === 0) return
    this.#taken.set(source, allowed.reduce(addRange, this.#taken.get(source) ?? []))
    const days = new Map<number, ByteRanges>()
    for (const [i, first] of records.entries()) {
      const own: ByteRange = [first, records[i + 1] ?? range[1]]
      if (!allowed.some(([from, to]) => first >= from && first < to)) continue
      const day = dayOfRow({ source, range: own })
      days.set(day, meet(allowed, [own]).reduce(addRange, days.get(day) ?? []))
      this.#put({ source, range: own })
    }
    for (const [day, ranges] of days)
      this.#parts.push({ source: hex(source), session, day, ranges, records: 0, seen: range[1] })
  }

  #put(row: Row): void {
    const day = dayOfRow(row)
    this.days.set(day, [...(this.days.get(day) ?? []), row])
  }

  claimOf(block: BlockRange): Claim {
    return { block, days: [...this.days.keys()], parts: this.#parts }
  }
}

function union(sets: readonly { readonly ranges: ByteRanges }[]): ByteRanges {
  return sets.flatMap(({ ranges }) => ranges).reduce(addRange, [] as ByteRanges)
}
