/** An aggregator of the simulation, with its real log, ledger, resolver and loader; its write-ahead log is a list of chunks. */
import type { Disk } from '@tributary/protocol/disk.ts'
import type { ByteRange, ByteRanges } from '@tributary/protocol/ranges.ts'
import { SharedLoader } from '../../../load/shared-loader.ts'
import type { WalPosition } from '../../../wal/position.ts'
import { claimToken } from '../log-store.ts'
import { Resolver } from '../resolver.ts'
import { type AckMode, SharedLedger } from '../shared-ledger.ts'
import { SharedLog } from '../shared-log.ts'
import { SimulatedBlock } from './block.ts'
import type { Row, Waiting, World } from './world.ts'

/** Silence after which an aggregator is gone, in the simulation's time. */
export const goneAfter = 3000

/** A part of a source, as its collector sends it. */
export interface Chunk {
  readonly source: number
  readonly range: ByteRange
  /** Where its records begin. */
  readonly records: readonly number[]
  readonly session: string
}

/** Where rows of no source are counted: each push has one of each day. */
export const pushed = -1

/** Records without a place in a source, which their sender sends once. */
export interface Push {
  readonly rows: readonly [Row, Row]
}

export const sourceId = (source: number) => Buffer.alloc(16, source + 1)
export const hex = (source: number) => sourceId(source).toString('hex')

/** What an aggregator has on its volume. */
export class Volume {
  readonly name: string
  readonly wal: (Chunk | Push)[] = []
  /** What of each was accepted; nothing of a push, which is always taken. */
  readonly accepted: ByteRanges[] = []
  cursor = 0

  constructor(name: string) {
    this.name = name
  }

  append(entry: Chunk | Push, accepted: ByteRanges): void {
    this.wal.push(entry)
    this.accepted.push(accepted)
  }

  /** What is on it and perhaps nowhere else, by source. */
  *unstored(): Generator<readonly [source: number, ranges: ByteRanges]> {
    for (const [i, entry] of this.wal.entries()) {
      if (i < this.cursor) continue
      if ('rows' in entry) yield [pushed, entry.rows.map(({ range }) => range)]
      else yield [entry.source, this.accepted[i]!]
    }
  }
}

export class Aggregator implements Waiting {
  readonly name: string
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
    this.name = volume.name
    const store = world.storeOf(this)
    this.log = new SharedLog({
      store,
      writer: volume.name,
      retryDelay: 0,
      snapshotEntries: world.snapshotEntries,
      now: () => world.time,
      wait: (_, signal) => world.wait(this, 'the log', signal),
      onConflict: () => world.count('conflict'),
    })
    const inputRead = () => world.wait(this, 'input')
    this.ledger = new SharedLedger({ log: this.log, ack, inputRead }, at(volume.cursor))
    for (const [i, chunk] of volume.wal.entries()) {
      if (i >= volume.cursor && !('rows' in chunk)) this.ledger.replay(headerOf(chunk), volume.accepted[i]!, at(i + 1))
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

  /** The simulation is over. Signals that never come would be kept for ever, and all that hears them. */
  end(): void {
    this.alive = false
    this.#cut.abort()
  }

  get stopping(): boolean {
    return this.#stop.signal.aborted
  }

  /** Whether all that it has acknowledged is in the store. */
  get isEmpty(): boolean {
    return this.volume.cursor === this.volume.wal.length
  }

  /** Takes a chunk; resolves when it is acknowledged. Undefined when it is refused. */
  accept(chunk: Chunk): Promise<void> | undefined {
    const header = headerOf(chunk)
    if (!this.ledger.lets(header)) return undefined
    const admitted = this.ledger.admit(header, 0, () => 0)
    if (admitted.ranges.length > 0) this.volume.append(chunk, admitted.ranges)
    this.ledger.confirm(admitted, at(this.volume.wal.length))
    return this.#durable()
  }

  /** Takes a push; resolves when it is acknowledged. */
  push(push: Push): Promise<void> {
    this.volume.append(push, [])
    return this.#durable()
  }

  #durable(): Promise<void> {
    const end = at(this.volume.wal.length)
    this.#loader?.committed(end)
    return this.ledger.acknowledgeable(end) ?? Promise.resolve()
  }

  /** Takes nothing more, loads what is in its write-ahead log, and ends. */
  stop(): void {
    this.#stop.abort()
    void this.running.then(() => void this.die())
  }

  async #load(): Promise<void> {
    const { volume, world } = this
    while (this.alive && !this.#stop.signal.aborted) {
      try {
        await this.log.refresh()
        const unfinished = await this.ledger.unfinished()
        for (const { claim } of unfinished.blocks) world.count(claim === undefined ? 'claimed anew' : 'finished later')
        const loader = new SharedLoader<number, SimulatedBlock>({
          disk: cursorDisk(),
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
              await world.request(this, 'insert', () => world.insert(this, token, rows))
            }
          },
          ...{ blockRows: 3, blockBytes: 1e9, blockDelay: 0, retryDelay: () => 0 },
          now: () => world.time,
          wait: (_, signal) => world.wait(this, 'the loader', signal),
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
        await world.wait(this, 'another loader')
      }
    }
  }
}

/** Takes the cursor and does nothing with it: the volume has it from `onStored`. */
function cursorDisk(): Disk {
  const nothing = async () => {}
  const file = { write: nothing, writeAll: nothing, read: async () => 0, size: async () => 0, truncate: nothing }
  return {
    open: async () => ({ ...file, sync: nothing, close: nothing }),
    readFile: async () => Buffer.alloc(0),
    readdir: async () => [],
    ...{ mkdir: nothing, rename: nothing, unlink: nothing, syncDirectory: nothing },
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
