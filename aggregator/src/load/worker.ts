/** The loader's thread: reads the write-ahead log behind its durable end and fills the store. */
import { parentPort, workerData } from 'node:worker_threads'
import { chunkHeader } from '@tributary/protocol/chunk.ts'
import { CompressionError } from '@tributary/protocol/compression.ts'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import { parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { TenantLimits } from '../access/tenant-limits.ts'
import { partsOf, toSource, within } from '../ledger/parts.ts'
import { headerOfTenant } from '../ledger/tenant-source.ts'
import { acceptedRecords } from '../recover.ts'
import { StoreClient } from '../store/client.ts'
import type { StoreLog } from '../store/endpoints.ts'
import { retryDelay, StoreError, type StoreErrorCode } from '../store/error.ts'
import type { DamagedRecord } from '../wal/event.ts'
import { comparePositions, formatPosition } from '../wal/position.ts'
import { WalReader } from '../wal/reader.ts'
import type { WalEntry } from '../wal/wal.ts'
import { type Cursor, CursorError, newCursor, readCursor } from './cursor.ts'
import { MessageDecoder } from './decode-message.ts'
import { Loader } from './loader.ts'
import type { FromLoader, LoaderSettings, ToLoader } from './messages.ts'
import { Quarantine } from './quarantine.ts'
import { BlockPool, insertBlock, StoreBlock } from './store-block.ts'

const settings = workerData as LoaderSettings
const port = parentPort!
const stop = new AbortController()
const cut = new AbortController()
const tell = (message: FromLoader) => port.postMessage(message)

/** What the store's client notices is written to the one log there is. */
const storeLog: StoreLog = {
  debug: () => {},
  warn: (fields, message) => tell({ kind: 'warning', fields: { ...fields }, message }),
}

/** Losses that the ledger has not made durable yet, by number. */
const unbooked = new Map<number, () => void>()
let losses = 0

async function openCursor(): Promise<Cursor> {
  try {
    const cursor = await readCursor(nodeDisk, settings.cursorPath)
    if (cursor === undefined) return newCursor(settings.oldest)
    if (comparePositions(cursor.next, settings.committed) <= 0) return cursor
    throw new CursorError(`${settings.cursorPath}: it points behind the end of the write-ahead log`)
  } catch (error) {
    if (!(error instanceof CursorError)) throw error
    await nodeDisk.rename(settings.cursorPath, `${settings.cursorPath}.corrupt`)
    tell({ kind: 'cursorLost', message: error.message })
    return newCursor(settings.oldest)
  }
}

/** Keeps what can't be decoded, and makes its loss durable before the cursor moves over it. */
async function setAside(quarantine: Quarantine, entry: WalEntry, error: Error): Promise<void> {
  const { start: position, message, accepted, tenant } = entry
  const path = await quarantine.keep(`${formatPosition(position)}.msgpack`, message)
  const reason = !(error instanceof CompressionError)
    ? 'msgpack'
    : error.reason === 'too_large'
      ? 'too_large'
      : 'compression'
  tell({ kind: 'quarantined', quarantined: { position, reason, message: error.message, path } })
  for (const lost of accepted.length === 0 ? [] : lossesOf(message, accepted, tenant)) await book(lost)
}

/** Resolves when a loss is durable in the ledger. */
async function book(lost: DamagedRecord): Promise<void> {
  const loss = losses++
  const booked = new Promise<void>((resolve) => unbooked.set(loss, resolve))
  tell({ kind: 'loss', loss, ...lost })
  await booked
  unbooked.delete(loss)
}

/** Whose bytes a message carries, and how many records of them were counted; nothing when not even that can be read. */
function lossesOf(message: Buffer, accepted: ByteRanges, tenant: string | undefined): DamagedRecord[] {
  try {
    const parsed = parseMessage(message)
    const header = chunkHeader(parsed?.options)
    if (parsed === undefined || header === undefined) return []
    return partsOf(headerOfTenant(header, tenant)).map((part) => {
      const own = within(part, accepted)
      const records = own.length === 0 ? 0 : acceptedRecords(parsed, own, settings.maxEntriesBytes)
      return { source: part.source.toString('hex'), ranges: toSource(part, own), records }
    })
  } catch (error) {
    if (error instanceof MsgpackError) return []
    throw error
  }
}

/** What a disk that does not take the cursor has in common with a store that is away: both may be back soon. */
function reasonOf(error: unknown): StoreErrorCode {
  return error instanceof StoreError ? error.code : 'unavailable'
}

async function run(): Promise<void> {
  const cursor = await openCursor()
  tell({ kind: 'opened', id: cursor.id })
  const quarantine = await Quarantine.open(nodeDisk, settings.quarantineDirectory)
  const client = new StoreClient(settings.store, storeLog)
  const decoder = new MessageDecoder({
    ...settings,
    limits: new TenantLimits({ limits: settings.limits, overrides: settings.overrides }),
    id: cursor.id,
  })
  const pool = new BlockPool(2 * settings.blockBytes)
  const reader = new WalReader({
    disk: nodeDisk,
    directory: settings.walDirectory,
    from: cursor.stored,
    onEvent: async (event) => {
      tell({ kind: 'wal', event: event.kind, fields: { ...event } })
      if (event.kind === 'corrupt' && event.lost !== undefined) for (const lost of event.lost) await book(lost)
    },
  })
  let cpu = process.threadCpuUsage()
  const loader = new Loader<WalEntry, StoreBlock>({
    disk: nodeDisk,
    cursorPath: settings.cursorPath,
    cursor,
    reader,
    newBlock: () => new StoreBlock(pool.take(), decoder, (entry, error) => setAside(quarantine, entry, error)),
    insert: (block, token) => insertBlock(client, block, token),
    blockRows: settings.blockRows,
    blockBytes: settings.blockBytes,
    blockDelay: settings.blockDelay,
    retryDelay: (error, failures) => retryDelay(reasonOf(error), failures),
    onStored: (position) => tell({ kind: 'stored', position }),
    onBlock: (block, insertSeconds) => {
      const used = process.threadCpuUsage(cpu)
      cpu = process.threadCpuUsage()
      const { rows, bytes, malformed, clamped, truncated } = block
      const cpuSeconds = (used.user + used.system) / 1e6
      tell({ kind: 'block', report: { rows, bytes, malformed, clamped, truncated, insertSeconds, cpuSeconds } })
      pool.giveBack(block.log)
    },
    onRetry: (error, attempt, delay) => {
      const reason = error instanceof StoreError ? error.code : 'cursor'
      tell({ kind: 'retry', retry: { reason, message: (error as Error).message, attempt, delay } })
    },
  })
  port.on('message', (message: ToLoader) => {
    if (message.kind === 'committed') loader.committed(message.position)
    else if (message.kind === 'stop') stop.abort()
    else if (message.kind === 'cut') cut.abort()
    else unbooked.get(message.loss)?.()
  })
  loader.committed(settings.committed)
  try {
    await loader.run(stop.signal, cut.signal)
  } finally {
    await reader.close()
    await client.close()
    port.close()
  }
}

await run()
