/** Write-ahead log and ledger at the start: the ledger's snapshot, and what the log says was admitted since. */
import { join } from 'node:path'
import { type ChunkHeader, chunkHeader } from '@tributary/protocol/chunk.ts'
import { CompressionError } from '@tributary/protocol/compression.ts'
import type { Disk } from '@tributary/protocol/disk.ts'
import { type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { Ledger } from './ledger/ledger.ts'
import { headerOfTenant } from './ledger/tenant-source.ts'
import { type Cursor, CursorError, openCursor, readCursor, writeCursor } from './load/cursor.ts'
import { countRecords } from './receive/count-records.ts'
import type { WalEvent } from './wal/event.ts'
import type { WalPosition } from './wal/position.ts'
import { Wal, type WalEntry } from './wal/wal.ts'

export interface RecoverOptions {
  readonly disk: Disk
  readonly dataDir: string
  readonly maxBytes: number
  readonly segmentBytes: number
  readonly maxEntriesBytes: number
  readonly room?: (bytes: number) => Promise<boolean>
  readonly onWalEvent: (event: WalEvent) => void
  readonly onLedgerDamage: (error: Error, movedTo: string) => void
}

export const walDirectory = (dataDir: string) => join(dataDir, 'wal')

export async function recover(options: RecoverOptions): Promise<{ ledger: Ledger; wal: Wal }> {
  const { disk, dataDir, maxBytes, segmentBytes, room, onWalEvent, onLedgerDamage } = options
  const { ledger, upTo } = await Ledger.open({ disk, path: join(dataDir, 'ledger'), onDamage: onLedgerDamage })
  const wal = await Wal.open({
    disk,
    directory: walDirectory(dataDir),
    maxBytes,
    segmentBytes,
    ...(room === undefined ? {} : { room }),
    replayFrom: upTo,
    onEntry: (entry) => replay(ledger, entry, options.maxEntriesBytes),
    onEvent: onWalEvent,
  })
  return { ledger, wal }
}

/** What an entry of the write-ahead log says was accepted. */
export interface ReplayedChunk {
  readonly header: ChunkHeader
  readonly accepted: ByteRanges
  readonly end: WalPosition
}

/**
 * The write-ahead log of an aggregator whose ledger is in the store: its cursor, which names it and says from where on it is not known to be
 * stored, and what it holds from there.
 */
export async function recoverShared(
  options: Omit<RecoverOptions, 'onLedgerDamage'> & { readonly onCursorLost: (message: string) => void },
): Promise<{ wal: Wal; cursor: Cursor; chunks: ReplayedChunk[] }> {
  const { disk, dataDir, maxBytes, segmentBytes, onWalEvent, onCursorLost } = options
  const path = join(dataDir, 'cursor')
  const known = await readCursor(disk, path).catch((error: unknown) => {
    if (error instanceof CursorError) return undefined // set aside below
    throw error
  })
  const chunks: ReplayedChunk[] = []
  const wal = await Wal.open({
    ...{ disk, maxBytes, segmentBytes, directory: walDirectory(dataDir), replayFrom: known?.stored },
    onEntry: ({ accepted, message, tenant, end }) => {
      const header = accepted.length === 0 ? undefined : headerOf(message)
      if (header !== undefined) chunks.push({ header: headerOfTenant(header, tenant), accepted, end })
    },
    onEvent: onWalEvent,
  })
  const cursor = await openCursor(disk, path, wal, onCursorLost)
  // Its id is the aggregator's name in the ledger: it must not be another one after a crash.
  if (cursor.id !== known?.id) await writeCursor(disk, path, cursor)
  return { wal, cursor, chunks }
}

function headerOf(message: Buffer): ChunkHeader | undefined {
  try {
    return chunkHeader(parseMessage(message)?.options)
  } catch (error) {
    // It was checked before it was written, so a newer program wrote it, or we were wrong: the loader sets it aside and says so.
    if (error instanceof MsgpackError) return undefined
    throw error
  }
}

function replay(ledger: Ledger, { accepted, message, tenant }: WalEntry, maxEntriesBytes: number): void {
  if (accepted.length === 0) return
  try {
    const parsed = parseMessage(message)
    const header = chunkHeader(parsed?.options)
    if (parsed === undefined || header === undefined) return
    ledger.replay(headerOfTenant(header, tenant), accepted, (ranges) =>
      acceptedRecords(parsed, ranges, maxEntriesBytes),
    )
  } catch (error) {
    // It was checked before it was written, so a newer program wrote it, or we were wrong: the loader sets it aside and says so.
    if (!(error instanceof MsgpackError)) throw error
  }
}

/** How many of a chunk's records lie in ranges of it; 0 when its entries can't be read. */
export function acceptedRecords(message: ForwardMessage, accepted: ByteRanges, maxEntriesBytes: number): number {
  const header = chunkHeader(message.options)
  if (header === undefined || header.outcome !== undefined || header.relayed) return 0
  const [first, end] = accepted[0] ?? [0, 0]
  if (accepted.length === 1 && first === header.range[0] && end === header.range[1]) return message.count ?? 0
  try {
    return countRecords(message.entries, accepted, maxEntriesBytes)
  } catch (error) {
    if (error instanceof MsgpackError || error instanceof CompressionError) return 0
    throw error
  }
}
