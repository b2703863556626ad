/**
 * One file of the write-ahead log: its name, its head, and a scan over its records that goes on behind damage. A segment's head:
 *
 *     0  "TRBWAL1\n"   · 8  number u64 · 16  valid bytes of the segment before u64 · 24  CRC-32C of these 24 bytes u32 · 28  zero u32
 *
 * "Valid bytes of the segment before": after a failed write nobody knows what of it is on the disk. It goes on in a new segment,
 * which says how much of the old one counts.
 */
import { join } from 'node:path'
import type { DiskFile } from '@tributary/protocol/disk.ts'
import { crc32c } from './crc32c.ts'
import { bodyLength, decodeBody, headBytes, marker, type WalRecord } from './record.ts'

export const segmentHeadBytes = 32
const magic = Buffer.from('TRBWAL1\n')

export function segmentPath(directory: string, segment: number): string {
  return join(directory, `${String(segment).padStart(16, '0')}.wal`)
}

/** The number in a segment's file name, or undefined for other files. */
export function segmentNumber(name: string): number | undefined {
  return /^\d{16}\.wal$/.test(name) ? Number.parseInt(name, 10) : undefined
}

export function encodeSegmentHead(segment: number, validBefore: number): Buffer {
  const head = Buffer.alloc(segmentHeadBytes)
  magic.copy(head)
  head.writeBigUInt64LE(BigInt(segment), 8)
  head.writeBigUInt64LE(BigInt(validBefore), 16)
  head.writeUInt32LE(crc32c(head.subarray(0, 24)), 24)
  return head
}

/** How much of the segment before counts; undefined when the head is torn or damaged. Throws on a version this program doesn't know. */
export function decodeSegmentHead(head: Buffer): { validBefore: number } | undefined {
  if (head.length < segmentHeadBytes || crc32c(head.subarray(0, 24)) !== head.readUInt32LE(24)) return undefined
  if (!head.subarray(0, magic.length).equals(magic)) {
    throw new Error(
      `a write-ahead log segment of another version (${JSON.stringify(head.toString('latin1', 0, 7))}); this aggregator reads TRBWAL1`,
    )
  }
  return { validBefore: Number(head.readBigUInt64LE(16)) }
}

export type Scanned =
  | { readonly kind: 'record'; readonly start: number; readonly end: number; readonly record: WalRecord }
  /** Bytes that are no record, and what follows them is one. */
  | { readonly kind: 'corrupt'; readonly start: number; readonly end: number }
  /** Nothing that follows is a record. */
  | { readonly kind: 'end'; readonly start: number }

/** Reads one record after another; memory is one record and one window. */
export class SegmentScanner {
  readonly #file: DiskFile
  readonly #head = Buffer.alloc(headBytes)
  position: number

  constructor(file: DiskFile, position: number) {
    this.#file = file
    this.position = Math.max(position, segmentHeadBytes)
  }

  /** The next thing before `limit`, bytes of this file that count. */
  async next(limit: number): Promise<Scanned> {
    const start = this.position
    const record = await this.#recordAt(start, limit)
    if (record !== undefined) {
      this.position = record.end
      return { kind: 'record', start, ...record }
    }
    const found = await this.#resynchronise(start + 1, limit)
    if (found === undefined) return { kind: 'end', start }
    this.position = found
    return { kind: 'corrupt', start, end: found }
  }

  async #recordAt(at: number, limit: number): Promise<{ record: WalRecord; end: number } | undefined> {
    if (at + headBytes > limit || (await this.#file.read(this.#head, at)) < headBytes) return undefined
    const length = bodyLength(this.#head, 0)
    if (length === undefined || at + headBytes + length > limit) return undefined
    const body = Buffer.allocUnsafeSlow(length)
    if ((await this.#file.read(body, at + headBytes)) < length) return undefined
    const record = decodeBody(this.#head, body)
    if (record === 'unknown')
      throw new Error(
        'a write-ahead log record of a kind this aggregator does not know; it was written by a newer version',
      )
    return record === 'corrupt' ? undefined : { record, end: at + headBytes + length }
  }

  /** The next place from `from` on where a whole and sound record lies. */
  async #resynchronise(from: number, limit: number): Promise<number | undefined> {
    const window = Buffer.allocUnsafe(256 * 1024)
    const needle = Buffer.alloc(4)
    needle.writeUInt32LE(marker)
    for (let at = from; at + headBytes <= limit; ) {
      const bytes = window.subarray(
        0,
        await this.#file.read(window.subarray(0, Math.min(window.length, limit - at)), at),
      )
      if (bytes.length < headBytes) return undefined
      for (let i = bytes.indexOf(needle); i !== -1; i = bytes.indexOf(needle, i + 1)) {
        if ((await this.#recordAt(at + i, limit)) !== undefined) return at + i
      }
      // A marker can lie across the end of the window.
      at += Math.max(1, bytes.length - needle.length + 1)
    }
    return undefined
  }
}
