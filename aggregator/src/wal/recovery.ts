/**
 * What a start finds in the write-ahead log. Every record that was confirmed is found; what a crash left half written behind the last one
 * is cut off; damage in between is set aside and told, and what follows it is used. Memory is one window, or one record.
 */
import { dirname } from 'node:path'
import type { Disk } from '@tributary/protocol/disk.ts'
import { DamageReport } from './damage-report.ts'
import type { WalEvent } from './event.ts'
import type { WalPosition } from './position.ts'
import { comparePositions } from './position.ts'
import type { WalRecord } from './record.ts'
import { SegmentScanner } from './scan.ts'
import { listSegments, readSegmentHead, type SegmentHead, segmentHeadBytes, segmentPath } from './segment.ts'
import type { WalEntry, WalOptions } from './wal.ts'

export interface Recovered {
  /** Bytes of each segment, oldest first. */
  readonly segments: Map<number, number>
  /** Behind the last record. */
  readonly end: WalPosition
}

interface Segment {
  readonly number: number
  readonly size: number
  readonly head: SegmentHead | undefined
}

export async function recover(options: WalOptions): Promise<Recovered> {
  const { disk, directory, replayFrom, onEvent } = options
  await disk.mkdir(directory)
  await disk.syncDirectory(dirname(directory))
  const found: Segment[] = []
  for (const number of await listSegments(disk, directory)) found.push(await inspect(disk, directory, number))
  await dropUnborn(found, options)
  const segments = new Map(found.map(({ number, size }) => [number, size]))
  for (const { number, head } of found) if (head === undefined) onEvent({ kind: 'corrupt_head', segment: number })
  // The numbers go on even if everything was released or is gone: positions are never used twice.
  let end = replayFrom ?? { segment: 0, offset: 0 }
  for (const [i, segment] of found.entries()) {
    const { number, size, head } = segment
    const next = found[i + 1]
    if (next !== undefined && number < (replayFrom?.segment ?? 0)) continue
    const missing = missingBefore(number, head, end)
    if (missing !== undefined) onEvent(missing)
    // The head of a later segment speaks of the one directly before it.
    const valid = next?.number === number + 1 ? next.head?.validBefore : undefined
    const scanned = await scan(segment, Math.min(size, valid ?? size), next === undefined, options)
    if (next === undefined) segments.set(number, scanned)
    if (comparePositions({ segment: number, offset: scanned }, end) > 0) end = { segment: number, offset: scanned }
  }
  return { segments, end }
}

/**
 * What is missing between `read`, up to where everything was read, and a segment. A segment that was read to its end may be gone, and
 * so may everything if nothing was read.
 */
export function missingBefore(segment: number, head: SegmentHead | undefined, read: WalPosition): WalEvent | undefined {
  if (read.segment === 0) return undefined
  const isRead = read.segment + 1 < segment || head === undefined || head.validBefore <= read.offset
  const from = isRead ? read.segment + 1 : read.segment
  return from < segment ? { kind: 'missing_segments', from, to: segment - 1 } : undefined
}

async function inspect(disk: Disk, directory: string, number: number): Promise<Segment> {
  const file = await disk.open(segmentPath(directory, number), 'read')
  try {
    return { number, size: await file.size(), head: (await readSegmentHead(file)).head }
  } finally {
    await file.close()
  }
}

/** A crash while a segment was begun leaves one without a head and without records: as if it had not been. */
async function dropUnborn(found: Segment[], { disk, directory, onEvent }: WalOptions): Promise<void> {
  const last = found.at(-1)
  if (last === undefined || last.head !== undefined || last.size > segmentHeadBytes) return
  found.pop()
  onEvent({ kind: 'torn_tail', segment: last.number, bytes: last.size })
  await disk.unlink(segmentPath(directory, last.number))
  await disk.syncDirectory(directory)
}

/** Goes through a segment's records from where the ledger needs them; where they end. */
async function scan({ number }: Segment, limit: number, last: boolean, options: WalOptions): Promise<number> {
  const { disk, directory, replayFrom, onEntry } = options
  const file = await disk.open(segmentPath(directory, number), 'update')
  try {
    const { marker } = await readSegmentHead(file)
    const scanner = new SegmentScanner(file, marker, number === replayFrom?.segment ? replayFrom.offset : 0)
    const damage = new DamageReport({ ...options, file, segment: number, marker })
    for (let next = await scanner.next(limit); next !== undefined; next = await scanner.next(limit)) {
      if (next.kind === 'damaged') damage.found(next)
      else {
        await damage.confirmed(next.groupStart)
        onEntry?.(entryOf(number, next))
        damage.follow(next.end)
      }
    }
    if (!last) await damage.confirmed(limit)
    const end = last ? await damage.cutTail(limit) : limit
    // What a killed process wrote last may be seen and yet not be on the disk. From here on it counts as confirmed.
    if (last) await file.sync()
    else if (damage.any) await damage.settle()
    return end
  } finally {
    await file.close()
  }
}

export function entryOf(
  segment: number,
  { start, end, record }: { readonly start: number; readonly end: number; readonly record: WalRecord },
): WalEntry {
  return { ...record, start: { segment, offset: start }, end: { segment, offset: end } }
}
