/**
 * How a record lies in a segment (docs/formats/wal.md). Pure. Little-endian:
 *
 *     0  marker        u32  where a reader that lost its way finds one again
 *     4  body length   u32
 *     8  body CRC-32C  u32
 *    12  head CRC-32C  u32  of the twelve bytes before: a length that can be trusted even where the body can't
 *    16  body: kind u8 (1) · ranges u8 · reserved u16 · received at f64 (ms since 1970) · ranges × (first f64, end f64) · message
 */
import type { ByteRange, ByteRanges } from '@tributary/protocol/ranges.ts'
import { crc32c } from './crc32c.ts'

export interface WalRecord {
  /** The parts of the chunk's range that were admitted: only records in them go to the store. Empty for messages of other senders. */
  readonly accepted: ByteRanges
  /** The Forward message as it came. */
  readonly message: Buffer
  /** When it came, ms since 1970. */
  readonly receivedAt: number
}

export const headBytes = 16
export const marker = 0x7ab1e5ec
const kind = 1
/** A range count is one byte. A chunk that meets more holes than that in the ledger is admitted in parts. */
export const maxRanges = 255

/** The record in two pieces to write one after another; the message is not copied. */
export function encodeRecord({ accepted, message, receivedAt }: WalRecord): [Buffer, Buffer] {
  const prefix = 12 + 16 * accepted.length
  const head = Buffer.allocUnsafe(headBytes + prefix)
  head.writeUInt32LE(marker, 0)
  head.writeUInt32LE(prefix + message.length, 4)
  head[headBytes] = kind
  head[headBytes + 1] = accepted.length
  head.writeUInt16LE(0, headBytes + 2)
  head.writeDoubleLE(receivedAt, headBytes + 4)
  for (const [i, [first, end]] of accepted.entries()) {
    head.writeDoubleLE(first, headBytes + 12 + 16 * i)
    head.writeDoubleLE(end, headBytes + 20 + 16 * i)
  }
  head.writeUInt32LE(crc32c(message, crc32c(head.subarray(headBytes))), 8)
  head.writeUInt32LE(crc32c(head.subarray(0, 12)), 12)
  return [head, message]
}

/** Length of the body whose head is at `at`, or undefined when there is no whole head. */
export function bodyLength(bytes: Buffer, at: number): number | undefined {
  if (at + headBytes > bytes.length || bytes.readUInt32LE(at) !== marker) return undefined
  return crc32c(bytes.subarray(at, at + 12)) === bytes.readUInt32LE(at + 12) ? bytes.readUInt32LE(at + 4) : undefined
}

/** The record of a head and a whole body, or why it can't be used. */
export function decodeBody(head: Buffer, body: Buffer): WalRecord | 'corrupt' | 'unknown' {
  if (crc32c(body) !== head.readUInt32LE(8) || body.length < 12) return 'corrupt'
  if (body[0] !== kind) return 'unknown'
  const count = body[1]!
  const accepted = Array.from(
    { length: count },
    (_, i): ByteRange => [body.readDoubleLE(12 + 16 * i), body.readDoubleLE(20 + 16 * i)],
  )
  return { accepted, message: body.subarray(12 + 16 * count), receivedAt: body.readDoubleLE(4) }
}
