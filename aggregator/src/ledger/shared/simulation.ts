/**
 * For tests: several aggregators, each with its real log, ledger, resolver and loader, on one store in memory that knows tokens as the engine
 * does. Every request to the store waits until the test lets it go on: then it is done and answered, done and not answered, or not done; or its
 * aggregator dies.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Disk } from '@tributary/protocol/disk.ts'
import { addRange, type ByteRange, type ByteRanges, uncovered } from '@tributary/protocol/ranges.ts'
import type { BlockScope } from '../../load/claim-block.ts'
import type { ClaimableBlock } from '../../load/shared-loader.ts'
import { SharedLoader } from '../../load/shared-loader.ts'
import type { WalPosition } from '../../wal/position.ts'
import { meet } from './claim-request.ts'
import type { BlockRange, Claim, ClaimPart, LogRow } from './entry.ts'
import type { LedgerSnapshot, LogStore } from './log-store.ts'
import { claimToken } from './log-store.ts'
import { Resolver } from './resolver.ts'
import { type AckMode, SharedLedger } from './shared-ledger.ts'
import { SharedLog } from './shared-log.ts'
import type { OpenClaim } from './state.ts'

/** Silence after which an aggregator is gone, in the simulation's time. */
export const goneAfter = 100

/** Bytes of a record; its day is that of its first byte. */
export interface Row {
  readonly source: number
  readonly range: ByteRange
}

export interface Chunk {
  readonly source: number
  readonly range: ByteRange
  /** Where its records begin. */
  readonly records: readonly number[]
  readonly session: string
}

export const sourceId = (source: number) => Buffer.alloc(16, source + 1)
const hex = (source: number) => sourceId(source).toString('hex')
/** Rows of both days lie in most blocks. */
export const dayOf = (offset: number) => (Math.floor(offset / 30) % 3 === 1 ? 101 : 100)

export type Fate = 'done' | 'unanswered' | 'refused' | 'dies before' | 'dies after'

interface Request {
  readonly of: Aggregator
  readonly what: string
  readonly go: (fate: Fate) => void
}

/** What survives everything. */
export class World {
  readonly waiting: Request[] = []
  readonly log: LogRow[] = []
  readonly inserted = new Map<string, readonly Row[] | 'tombstone'>()
  readonly happened = new Map<string, number>()
  readonly #tokens = new Set<string>()
  snapshot: LedgerSnapshot | undefined
  time = 0
  readonly snapshotEntries: number

  constructor(snapshotEntries: number) {
    this.snapshotEntries = snapshotEntries
  }

  count(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1)
  }

  /** All rows. */
  rows(): Row[] {
    return [...this.inserted.values()].flatMap((rows) => (rows === 'tombstone' ? [] : rows))
  }

  /** Waits until the test decides what becomes of it. */
  async request<T>(of: Aggregator, what: string, effect: () => T): Promise<T> {
    const fate = await new Promise<Fate>((go) => this.waiting.push({ of, what, go }))
    if (fate === 'dies before') return await of.die()
    if (fate === 'refused') throw new Error('the store is away')
    const result = effect()
    if (fate === 'dies after') return await of.die()
    if (fate === 'unanswered') throw new Error('the connection broke')
    return result
  }

  take(token: string): boolean {
    if (this.#tokens.has(token)) return false
    this.#tokens.add(token)
    return true
  }

  insert(token: string, rows: readonly Row[] | 'tombstone'): void {
    if (this.take(token)) this.inserted.set(token, rows)
  }
}

/** What an aggregator has on its volume. */
export class Volume {
  readonly name: string
  readonly wal: Chunk[] = []
  /** What of each was accepted. */
  readonly accepted: ByteRanges[] = []
  cursor = 0

  constructor(name: string) {
    this.name = name
  }
}

export class Aggregator {
  readonly world: World
  readonly volume: Volume
  readonly log: SharedLog
  readonly ledger: SharedLedger
  readonly resolver: Resolver
  readonly #stop = new AbortController()
  readonly #cut = new AbortController()
  alive = true
  #loader: SharedLoader<number, SimulatedBlock> | undefined
  readonly running: Promise<void>

  constructor(world: World, volume: Volume, ack: AckMode) {
    this.world = world
    this.volume = volume
    const store = this.#store()
    this.log = new SharedLog({
      store,
      writer: volume.name,
      retryDelay: 0,
      snapshotEntries: world.snapshotEntries,
      now: () => world.time,
      onConflict: () => world.count('conflict'),
    })
    this.ledger = new SharedLedger({ log: this.log, ack }, at(volume.cursor))
    for (const [i, chunk] of volume.wal.entries()) {
      if (i >= volume.cursor) this.ledger.replay(headerOf(chunk), volume.accepted[i]!, at(i + 1))
    }
    this.resolver = new Resolver({
      log: this.log,
      store,
      after: goneAfter,
      now: () => world.time,
      onResolved: (claim, { stored }) =>
        world.count(
          stored.length === 0 ? 'void' : stored.length < claim.days.length ? 'void in part' : 'resolved as stored',
        ),
    })
    this.running = this.#load().catch((error: unknown) => {
      if (this.alive) throw error
    })
  }

  /** The rest of its life does not happen. */
  die(): Promise<never> {
    this.alive = false
    return new Promise(() => {})
  }

  /** Takes a chunk; resolves when it is acknowledged. Undefined when it is refused. */
  accept(chunk: Chunk): Promise<void> | undefined {
    const header = headerOf(chunk)
    if (!this.ledger.lets(header)) return undefined
    const admitted = this.ledger.admit(header, 0, () => 0)
    if (admitted.ranges.length > 0) {
      this.volume.wal.push(chunk)
      this.volume.accepted.push(admitted.ranges)
    }
    const end = at(this.volume.wal.length)
    this.ledger.confirm(admitted, end)
    this.#loader?.committed(end)
    return this.ledger.acknowledgeable(end) ?? Promise.resolve()
  }

  async drain(): Promise<void> {
    this.#stop.abort()
    await this.running
  }

  async #load(): Promise<void> {
    const { volume, world } = this
    while (this.alive && !this.#stop.signal.aborted) {
      try {
        await this.log.refresh()
        const unfinished = await this.ledger.unfinished()
        for (const { claim } of unfinished.blocks) world.count(claim === undefined ? 'claimed anew' : 'finished later')
        const loader = new SharedLoader<number, SimulatedBlock>({
          disk: cursorDisk(volume),
          cursorPath: '/cursor',
          cursor: { id: volume.name, stored: at(volume.cursor), next: at(volume.cursor) },
          unfinished,
          ledger: this.ledger,
          readerAt: (from) => readerOf(from.offset),
          newBlock: (scope) => new SimulatedBlock(volume, scope),
          discard: () => {},
          insert: async (block, claim) => {
            for (const [day, rows] of block.days) {
              const token = claimToken(unfinished.ledger, claim, day)
              await world.request(this, 'insert', () => world.insert(token, rows))
            }
          },
          ...{ blockRows: 3, blockBytes: 1e9, blockDelay: 0, retryDelay: () => 0 },
          onStored: ({ offset }) => {
            volume.cursor = offset
            this.ledger.stored(at(offset))
          },
          onBlock: () => {},
          onRetry: () => {},
        })
        this.#loader = loader
        loader.committed(at(volume.wal.length))
        await loader.run(this.#stop.signal, this.#cut.signal)
      } catch {
        world.count('loader begins anew')
        await sleep(0)
      }
    }
  }

  #store(): LogStore {
    const { world } = this
    const ask = <T>(what: string, effect: () => T) => world.request(this, what, effect)
    return {
      append: (row) =>
        ask('append', () => {
          if (world.take(`ledger:${row.seq}`)) world.log.push({ ...row, at: world.time })
        }),
      read: (from) => ask('read', () => world.log.filter(({ seq }) => seq >= from).slice(0, 5)),
      readSnapshot: () => ask('read snapshot', () => world.snapshot),
      writeSnapshot: (snapshot) =>
        ask('write snapshot', () => {
          if (snapshot.upTo > (world.snapshot?.upTo ?? -1)) world.snapshot = snapshot
          world.count('snapshot')
        }),
      drop: () =>
        ask('drop', () => {
          const before = world.snapshot?.upTo ?? 0
          world.log.splice(0, world.log.filter(({ seq }) => seq < before).length)
        }),
      decide: (ledger: string, claim: OpenClaim, day: number) =>
        ask('decide', () => {
          const token = claimToken(ledger, claim.seq, day)
          world.insert(token, 'tombstone')
          return world.inserted.get(token) !== 'tombstone'
        }),
    }
  }
}

const at = (offset: number): WalPosition => ({ segment: 1, offset })

function headerOf({ source, range, session }: Chunk) {
  return {
    ...{ source: sourceId(source), range, session, seen: range[1], rawBytes: 0, path: '/x', labels: {}, metadata: {} },
  }
}

function readerOf(from: number) {
  let next = from
  return {
    get position() {
      return at(next)
    },
    next: async ({ offset }: WalPosition) => (next < offset ? next++ : undefined),
    close: async () => {},
  }
}

/** Entries are numbers of the volume's chunks. */
class SimulatedBlock implements ClaimableBlock<number> {
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
    const { source, session, records, range } = this.#volume.wal[entry]!
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
      if (!allowed.some(([from, to]) => first >= from && first < to)) continue
      const day = dayOf(first)
      const own: ByteRange = [first, records[i + 1] ?? range[1]]
      days.set(day, meet(allowed, [own]).reduce(addRange, days.get(day) ?? []))
      const rows = this.days.get(day) ?? []
      this.days.set(day, [...rows, { source, range: own }])
    }
    for (const [day, ranges] of days)
      this.#parts.push({ source: hex(source), session, day, ranges, records: 0, seen: range[1] })
  }

  claimOf(block: BlockRange): Claim {
    return { block, days: [...this.days.keys()], parts: this.#parts }
  }
}

function union(sets: readonly { readonly ranges: ByteRanges }[]): ByteRanges {
  return sets.flatMap(({ ranges }) => ranges).reduce(addRange, [] as ByteRanges)
}

/** Takes the cursor and does nothing with it: the volume has it from `onStored`. */
function cursorDisk(_: Volume): Disk {
  const nothing = async () => {}
  const file = { write: nothing, writeAll: nothing, read: async () => 0, size: async () => 0, truncate: nothing }
  return {
    open: async () => ({ ...file, sync: nothing, close: nothing }),
    readFile: async () => Buffer.alloc(0),
    readdir: async () => [],
    ...{ mkdir: nothing, rename: nothing, unlink: nothing, syncDirectory: nothing },
  }
}
