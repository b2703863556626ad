/**
 * One file of the write-ahead log: its name and its head. Little-endian:
 *
 *      0  "TRBWAL1\n"   8 bytes
 *      8  number        u64
 *     16  valid before  u64, bytes of the segment before that count
 *     24  marker        8 random bytes, with which each record of the segment begins
 *     32  zeros         4 bytes
 *     36  CRC-32C       u32, of the 36 bytes before
 *
 * "Valid before": after a failed write nobody knows what of it is on the disk. The log goes on in a new segment, which says how much
 * of the old one counts.
 */
import { join } from 'node:path'
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'
import { crc32c } from './crc32c.ts'
import { markerBytes } from './record.ts'

export const segmentHeadBytes = 40
const magic = Buffer.from('TRBWAL1\n')
const crcAt = segmentHeadBytes - 4

export interface SegmentHead {
  /** Bytes of the segment before that count. */
  readonly validBefore: number
  readonly marker: Buffer
}

export function segmentPath(directory: string, segment: number): string {
  return join(directory, `${String(segment).padStart(16, '0')}.wal`)
}

/** The numbers of the segments that are there, ascending. */
export async function listSegments(disk: Disk, directory: string): Promise<number[]> {
  const names = await disk.readdir(directory)
  return names
    .filter((name) => /^\d{16}\.wal$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b)
}

export function encodeSegmentHead(segment: number, { validBefore, marker }: SegmentHead): Buffer {
  const head = Buffer.alloc(segmentHeadBytes)
  magic.copy(head)
  head.writeBigUInt64LE(BigInt(segment), 8)
  head.writeBigUInt64LE(BigInt(validBefore), 16)
  marker.copy(head, 24)
  head.writeUInt32LE(crc32c(head.subarray(0, crcAt)), crcAt)
  return head
}

/** Undefined when the head is torn or damaged. Throws on a version this program doesn't know. */
export function decodeSegmentHead(head: Buffer): SegmentHead | undefined {
  if (head.length < segmentHeadBytes || crc32c(head.subarray(0, crcAt)) !== head.readUInt32LE(crcAt)) return undefined
  if (!head.subarray(0, magic.length).equals(magic)) {
    const version = JSON.stringify(head.toString('latin1', 0, magic.length - 1))
    throw new Error(
      `the write-ahead log has a segment of version ${version}, this program reads "TRBWAL1": a newer version wrote it`,
    )
  }
  return { validBefore: Number(head.readBigUInt64LE(16)), marker: Buffer.from(head.subarray(24, 24 + markerBytes)) }
}

/** A segment's head, if it is sound, and the marker of its records, which stands in the first of them, too. */
export async function readSegmentHead(file: DiskFile): Promise<{ head: SegmentHead | undefined; marker: Buffer }> {
  const bytes = Buffer.alloc(segmentHeadBytes + markerBytes)
  await file.read(bytes, 0)
  const head = decodeSegmentHead(bytes.subarray(0, segmentHeadBytes))
  return { head, marker: head?.marker ?? bytes.subarray(segmentHeadBytes) }
}
