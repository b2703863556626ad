/**
 * What a start finds in the write-ahead log. Every record that was confirmed is found; what a crash left half written behind the last one
 * is cut off; damage in between is set aside and reported, and what follows it is used. Memory is one record and one window.
 */
import { join } from 'node:path'
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'
import type { WalPosition } from './position.ts'
import { decodeSegmentHead, SegmentScanner, segmentHeadBytes, segmentNumber, segmentPath } from './segment.ts'
import type { WalEntry, WalOptions } from './wal.ts'

export type WalEvent =
  /** Bytes behind the last record, from an append that was never confirmed. */
  | { readonly kind: 'torn_tail'; readonly segment: number; readonly bytes: number }
  /** Bytes between records that are none. `copy` is where they were set aside. */
  | {
      readonly kind: 'corrupt'
      readonly segment: number
      readonly start: number
      readonly end: number
      readonly copy?: string
    }
  | { readonly kind: 'corrupt_head'; readonly segment: number }
  | { readonly kind: 'stalled'; readonly reason: string }
  | { readonly kind: 'resumed' }

interface Found {
  readonly segment: number
  readonly file: DiskFile
  readonly size: number
  readonly head: { readonly validBefore: number } | undefined
}

export interface Recovered {
  /** Bytes of each segment, oldest first. */
  readonly segments: Map<number, number>
  /** Behind the last record. */
  readonly end: WalPosition
}

export async function recover(options: WalOptions): Promise<Recovered> {
  const { disk, directory, replayFrom } = options
  const numbers = (await disk.readdir(directory)).map(segmentNumber).filter((n) => n !== undefined)
  const found: Found[] = []
  try {
    for (const segment of numbers.sort((a, b) => a - b)) found.push(await openSegment(disk, directory, segment))
    await dropUnborn(found, options)
    const segments = new Map(found.map(({ segment, size }) => [segment, size]))
    // The numbers go on even if everything was released: positions are never used twice.
    let end: WalPosition = replayFrom ?? { segment: 0, offset: 0 }
    for (const [i, one] of found.entries()) {
      const last = i === found.length - 1
      const limit = found[i + 1]?.head?.validBefore ?? one.size
      const offset = await scan(one, limit, last, options)
      segments.set(one.segment, last ? offset : one.size)
      end = { segment: one.segment, offset }
    }
    return { segments, end }
  } finally {
    for (const { file } of found) await file.close()
  }
}

async function openSegment(disk: Disk, directory: string, segment: number): Promise<Found> {
  const file = await disk.open(segmentPath(directory, segment), 'update')
  const head = Buffer.alloc(segmentHeadBytes)
  await file.read(head, 0)
  return { segment, file, size: await file.size(), head: decodeSegmentHead(head) }
}

/** A crash while a segment was begun leaves one without a head and without records: as if it had not been. */
async function dropUnborn(found: Found[], { disk, directory, onEvent }: WalOptions): Promise<void> {
  const last = found.at(-1)
  if (last === undefined || last.head !== undefined || last.size > segmentHeadBytes) return
  await last.file.close()
  found.pop()
  onEvent({ kind: 'torn_tail', segment: last.segment, bytes: last.size })
  await disk.unlink(segmentPath(directory, last.segment))
  await disk.syncDirectory(directory)
}

/** Goes through a segment's records from where the ledger needs them; where they end. */
async function scan(found: Found, limit: number, last: boolean, options: WalOptions): Promise<number> {
  const { segment, file, head } = found
  const { replayFrom, onEntry, onEvent } = options
  if (head === undefined) onEvent({ kind: 'corrupt_head', segment })
  if (replayFrom !== undefined && segment < replayFrom.segment) return limit
  const from = segment === replayFrom?.segment ? replayFrom.offset : 0
  const scanner = new SegmentScanner(file, Math.min(from, limit))
  for (;;) {
    const next = await scanner.next(limit)
    if (next.kind === 'record') onEntry?.(entryOf(segment, next))
    else if (next.kind === 'corrupt') onEvent({ ...next, segment, copy: await setAside(found, next, options) })
    else {
      if (next.start < limit) await finish(found, next.start, last, limit, options)
      return last ? next.start : limit
    }
  }
}

/** Nothing that follows `start` is a record: the rest of an unconfirmed append if the segment is the last, else damage. */
async function finish(found: Found, start: number, last: boolean, limit: number, options: WalOptions): Promise<void> {
  const { segment, file } = found
  if (!last) {
    const range = { start, end: limit }
    options.onEvent({ kind: 'corrupt', segment, ...range, copy: await setAside(found, range, options) })
    return
  }
  options.onEvent({ kind: 'torn_tail', segment, bytes: found.size - start })
  await file.truncate(start)
  await file.sync()
}

async function setAside(
  { segment, file }: Found,
  { start, end }: { start: number; end: number },
  { disk, directory }: WalOptions,
): Promise<string> {
  const quarantine = join(directory, 'quarantine')
  await disk.mkdir(quarantine)
  const path = join(quarantine, `${segment}-${start}-${end}`)
  const copy = await disk.open(path, 'update')
  try {
    const window = Buffer.alloc(256 * 1024)
    for (let at = start; at < end; ) {
      const n = await file.read(window.subarray(0, Math.min(window.length, end - at)), at)
      if (n === 0) break
      await copy.write(window.subarray(0, n), at - start)
      at += n
    }
  } finally {
    await copy.close()
  }
  return path
}

export function entryOf(
  segment: number,
  { start, end, record }: { start: number; end: number; record: Omit<WalEntry, 'start' | 'end'> },
): WalEntry {
  return { ...record, start: { segment, offset: start }, end: { segment, offset: end } }
}
