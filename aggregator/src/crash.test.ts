/**
 * Intake, write-ahead log, ledger, loader and cursor together, on a disk that loses power before every change it is asked for: what was
 * acknowledged is in the store once the process is back, each record once, whatever the sender sends again.
 */
import { type ChunkHeader, chunkHeader, chunkOptions } from '@tributary/protocol/chunk.ts'
import { forwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { type ByteRange, uncovered } from '@tributary/protocol/ranges.ts'
import { RecordScanner, writeRecordHead } from '@tributary/protocol/records.ts'
import { expect, test } from 'vitest'
import { CrashDisk } from '../../test/harness/crash-disk.ts'
import { LocalLedger } from './ledger/intake-ledger.ts'
import { LedgerKeeper } from './ledger-keeper.ts'
import type { Block } from './load/block-collector.ts'
import { newCursor, readCursor } from './load/cursor.ts'
import { Loader } from './load/loader.ts'
import { AggregatorMetrics } from './metrics.ts'
import { Intake } from './receive/intake.ts'
import { recover, walDirectory } from './recover.ts'
import { WalReader } from './wal/reader.ts'
import type { WalEntry } from './wal/wal.ts'

const dataDir = '/data'
const sources = [1, 2, 3].map((n) => Buffer.alloc(16, n))
/** A record for every ten bytes of a source. */
const recordBytes = 10
const sourceBytes = 1200
const metrics = new AggregatorMetrics()

/** A store in another process: it survives, and knows the tokens it has seen. */
class FakeStore {
  readonly rows: string[] = []
  readonly #tokens = new Set<string>()
  async insert(rows: readonly string[], token: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#tokens.has(token)) return
    this.#tokens.add(token)
    this.rows.push(...rows)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

class RowBlock implements Block<WalEntry> {
  readonly all: string[] = []
  bytes = 0
  get rows(): number {
    return this.all.length
  }
  async add({ message, accepted }: WalEntry): Promise<void> {
    const parsed = parseMessage(message)!
    const header = chunkHeader(parsed.options)!
    const records = new RecordScanner(parsed.entries)
    while (records.next()) {
      const { offset } = records
      if (!accepted.some(([first, end]) => offset >= first && offset < end)) continue
      const { source, seam } = header
      this.all.push(seam && offset >= seam.at ? `${seam.source[0]}:${offset - seam.at}` : `${source[0]}:${offset}`)
    }
  }
}

interface Sent {
  readonly source: number
  readonly range: ByteRange
  readonly message: Buffer
}

/** A range beyond the source's end is the next source's first bytes. */
function chunk(source: number, range: ByteRange): Sent {
  const out = Buffer.alloc(10_000)
  let p = 0
  let records = 0
  for (let offset = range[0]; offset < range[1]; offset += recordBytes, records++) {
    p = writeRecordHead(out, p, 1, 2, offset, 1, 0, 0, false)
    out[p++] = 0x78
  }
  const header: ChunkHeader = {
    ...{
      source: sources[source]!,
      range,
      seen: Math.max(sourceBytes, range[1]),
      rawBytes: p,
      path: '/x',
      labels: {},
      metadata: {},
    },
    ...(range[1] > sourceBytes ? { seam: { source: sources[source + 1]!, at: sourceBytes } } : {}),
  }
  const message = Buffer.concat(forwardMessage('t', out.subarray(0, p), chunkOptions(header, records, 'none')))
  return { source, range, message }
}

/** All of every source, cut differently each time, and some of it twice. */
function chunksOf(life: number): Sent[] {
  const chunks: Sent[] = []
  for (const source of sources.keys()) {
    for (let first = 0, i = 0; first < sourceBytes; i++) {
      const whole = first + recordBytes * (1 + ((i * 7 + life * 5 + source) % 9))
      // Now and then the last chunk of a source goes on in the next one.
      const spans = whole > sourceBytes && source < sources.length - 1 && (life + source) % 2 === 0
      const end = spans ? whole : Math.min(sourceBytes, whole)
      chunks.push(chunk(source, [first, end]))
      if (i % 4 === 3) chunks.push(chunk(source, [Math.max(0, first - 20), end]))
      first = end
    }
  }
  return chunks
}

const settings = { disk: undefined, dataDir, maxBytes: 12_000, segmentBytes: 2500, maxEntriesBytes: 1 << 20 }

/** One process, from start to end, unless the disk is cut off before. */
async function live(disk: CrashDisk, store: FakeStore, chunks: readonly Sent[], acked: Sent[]) {
  const troubles: unknown[] = []
  const { ledger, wal } = await recover({
    ...{ ...settings, disk },
    // The log is small here: it gets full, and goes on.
    onWalEvent: (event) => !['torn_tail', 'stalled', 'resumed'].includes(event.kind) && troubles.push(event),
    onLedgerDamage: (error) => troubles.push(error),
  })
  // Nothing that was acknowledged in an earlier life is unknown, and nothing is known that the sender did not send.
  for (const { source, range } of acked) {
    const [first, end] = range
    expect(uncovered(ledger.ranges(sources[source]!), [first, Math.min(end, sourceBytes)])).toEqual([])
    if (end > sourceBytes) expect(uncovered(ledger.ranges(sources[source + 1]!), [0, end - sourceBytes])).toEqual([])
  }
  const onError = (error: unknown) => troubles.push(error)
  let loader: Loader<WalEntry, RowBlock> | undefined
  const onReleased = () => loader?.committed(wal.committed)
  const keeper = new LedgerKeeper({ ledger, wal, forgetAfter: 1e12, onError, onReleased }, wal.oldest)
  const cursorPath = `${dataDir}/cursor`
  const cursor = (await readCursor(disk, cursorPath)) ?? newCursor(wal.oldest)
  const reader = new WalReader({ disk, directory: walDirectory(dataDir), from: cursor.stored, onEvent: onError })
  loader = new Loader({
    ...{ disk, cursorPath, cursor, reader, blockRows: 10, blockBytes: 1e6, blockDelay: 1, retryDelay: () => 1 },
    newBlock: () => new RowBlock(),
    insert: (block, token) => store.insert(block.all, token),
    onStored: (position) => keeper.advance(position),
    onBlock: () => {},
    onRetry: onError,
  })
  const stopping = new AbortController()
  loader.committed(wal.committed)
  wal.onCommit((position) => loader.committed(position))
  const running = loader.run(stopping.signal, new AbortController().signal)
  const options = {
    wal,
    ledger: new LocalLedger(ledger),
    metrics,
    maxEntriesBytes: 1 << 20,
    onDurable: () => {},
    onUnsupported: () => {},
  }
  const intake = new Intake(options)
  // A sender keeps a few in flight.
  const left = [...chunks]
  const send = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      await intake.accept(next.message)
      acked.push(next)
    }
  }
  await Promise.all([send(), send(), send(), send()])
  stopping.abort()
  await running
  await keeper.close()
  await wal.close()
  expect(troubles).toEqual([])
  return ledger
}

async function newDisk(): Promise<CrashDisk> {
  const disk = new CrashDisk()
  await disk.mkdir(dataDir)
  await disk.syncDirectory('/')
  return disk.restart({ survives: 'everything' })
}

const everyRecord = [...sources.keys()].flatMap((source) =>
  Array.from({ length: sourceBytes / recordBytes }, (_, i) => `${source + 1}:${i * recordBytes}`),
)

async function checkAll(disk: CrashDisk, store: FakeStore, acked: Sent[], life: number, context: string) {
  const ledger = await live(disk, store, chunksOf(life), acked)
  expect([...store.rows].sort(), context).toEqual([...everyRecord].sort())
  for (const { stored, missing, records } of ledger.sources()) {
    expect({ stored, missing, records }, context).toEqual({
      ...{ stored: [[0, sourceBytes]], missing: [], records: sourceBytes / recordBytes },
    })
  }
}

async function countChanges(): Promise<number> {
  const disk = await newDisk()
  await checkAll(disk, new FakeStore(), [], 0, 'undisturbed')
  const kinds = new Set(disk.trace.map((change) => change.split(' ')[0]))
  for (const kind of ['create', 'write', 'sync', 'rename', 'unlink']) expect(kinds).toContain(kind)
  return disk.changes
}

test('a power cut before any change: all that was acknowledged is stored, each record once', async () => {
  const changes = await countChanges()
  expect(changes).toBeGreaterThan(100)
  for (let crashBefore = 1; crashBefore <= changes; crashBefore++) {
    const store = new FakeStore()
    const acked: Sent[] = []
    const disk = await newDisk()
    const first = disk.restart({ survives: 'everything', crashBefore, seed: crashBefore })
    await first.run(() => live(first, store, chunksOf(0), acked))
    await checkAll(first.restart({ seed: crashBefore }), store, acked, 1, `crash before ${crashBefore}`)
  }
}, 60_000)

test('one life after another, each cut short by a power cut or a kill', async () => {
  for (let seed = 0; seed < 40; seed++) {
    const store = new FakeStore()
    const acked: Sent[] = []
    let disk = await newDisk()
    for (let life = 0; life < 6; life++) {
      const next = { seed: seed * 10 + life, crashBefore: 5 + ((seed * 31 + life * 17) % 60) }
      disk = life % 2 === 0 ? disk.restart(next) : disk.kill(next)
      const own = disk
      await own.run(() => live(own, store, chunksOf(life), acked))
    }
    await checkAll(disk.restart({ seed }), store, acked, 7, `seed ${seed}`)
  }
}, 60_000)
