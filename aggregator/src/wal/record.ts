/**
 * How a record lies in a segment (docs/formats/wal.md). Pure. The head has a checksum of its own, so that its length can be trusted
 * even where the message is damaged, and what was lost with the message is known. Little-endian:
 *
 *      0  marker          8 bytes, the segment's: where a reader that lost its way finds one again
 *      8  kind            u8, 1; 2 for a hole, which stands where damage was found and told; 3 for a chunk with a seam;
 *                         4 and 6 for 1 and 3 of a tenant that is not the default one
 *      9  flags           u8, 1: the record has a source
 *     10  ranges          u8, how many
 *     11  tenant length   u8; 0 but for kinds 4 and 6
 *     12  message length  u32
 *     16  message CRC-32C u32
 *     20  records         u32
 *     24  group           u32, bytes from the first record that was committed with this one to this one
 *     28  received at     f64, ms since 1970
 *     36  source          16 bytes, zeros where it has none
 *     52  ranges          × (first f64, end f64)
 *         of kinds 3 and 6: the next source (16 bytes), the seam (f64), records behind it (u32)
 *         of kinds 4 and 6: the tenant, ASCII
 *         head CRC-32C    u32, of the head's offset in the segment (f64) and all of the head before
 *         message
 */
import type { ChunkSeam } from '@tributary/protocol/chunk.ts'
import type { ByteRange, ByteRanges } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import { crc32c } from './crc32c.ts'

export interface WalRecord {
  /** The parts of the chunk's range that were admitted: only records in them go to the store. Empty for messages of other senders. */
  readonly accepted: ByteRanges
  /** The Forward message as it came. */
  readonly message: Buffer
  /** When it came, ms since 1970. */
  readonly receivedAt: number
  /** Whose bytes they are, and how many records lie in `accepted`: what has to be booked as lost if the message gets damaged. */
  readonly source?: SourceId | undefined
  readonly records?: number | undefined
  /** Set where `accepted` reaches into the next source; `records` are those before it, these the ones behind. */
  readonly seam?: WalSeam | undefined
  /** Whose data it is; undefined for the default tenant. At most 255 bytes of ASCII. */
  readonly tenant?: string | undefined
}

export interface WalSeam extends ChunkSeam {
  readonly records: number
}

/** What a head says. */
export interface RecordHead {
  readonly accepted: ByteRanges
  readonly receivedAt: number
  readonly source: SourceId | undefined
  readonly records: number
  readonly seam: WalSeam | undefined
  readonly tenant: string | undefined
  /** Offset of the first record that was committed with this one: all before it was confirmed. */
  readonly groupStart: number
  /** No record: damage was found here, and told. */
  readonly isHole: boolean
  /** Of the head itself and of the message behind it, bytes. */
  readonly headLength: number
  readonly messageLength: number
  readonly messageCrc: number
}

/** A record was written by a newer version of this program: reading on would misread it. */
export class UnknownRecordError extends Error {
  override readonly name = 'UnknownRecordError'
}

export const markerBytes = 8
const fixedBytes = 52
const recordKind = 1
const holeKind = 2
const seamKind = 3
/** Added to the kind of a record that names its tenant. */
const ofTenant = 3
const knownKinds: ReadonlySet<number> = new Set([
  recordKind,
  holeKind,
  seamKind,
  recordKind + ofTenant,
  seamKind + ofTenant,
])
const hasSeam = (kind: number) => kind === seamKind || kind === seamKind + ofTenant
const seamBytes = 28
const hasSource = 1
/** Head of a record without ranges, bytes. */
export const smallestHead = fixedBytes + 4
/** Keeps heads small. A chunk that meets more holes than that in the ledger is written once for each lot of them. */
export const maxRanges = 255

/** Where a record is written: the segment's marker, the record's offset, and that of the first one that is committed with it. */
export interface RecordPlace {
  readonly marker: Buffer
  readonly offset: number
  readonly groupStart: number
}

/** @param messageCrc the message's CRC-32C, made once however often the record has to be written */
export function encodeHead(record: WalRecord, messageCrc: number, { marker, offset, groupStart }: RecordPlace): Buffer {
  const { accepted, message, receivedAt, source, records, seam, tenant = '' } = record
  if (tenant.length > 255) throw new RangeError('a tenant of more than 255 bytes')
  if (accepted.length > maxRanges) throw new RangeError(`${accepted.length} ranges in one record`)
  const seamAt = fixedBytes + 16 * accepted.length
  const tenantAt = seamAt + (seam === undefined ? 0 : seamBytes)
  const length = tenantAt + tenant.length
  const head = Buffer.alloc(length + 4)
  marker.copy(head)
  head[8] = (seam === undefined ? recordKind : seamKind) + (tenant === '' ? 0 : ofTenant)
  head[9] = source === undefined ? 0 : hasSource
  head[10] = accepted.length
  head[11] = tenant.length
  head.writeUInt32LE(message.length, 12)
  head.writeUInt32LE(messageCrc, 16)
  head.writeUInt32LE(records ?? 0, 20)
  head.writeUInt32LE(offset - groupStart, 24)
  head.writeDoubleLE(receivedAt, 28)
  source?.copy(head, 36)
  for (const [i, [first, end]] of accepted.entries()) {
    head.writeDoubleLE(first, fixedBytes + 16 * i)
    head.writeDoubleLE(end, fixedBytes + 16 * i + 8)
  }
  if (seam !== undefined) {
    seam.source.copy(head, seamAt)
    head.writeDoubleLE(seam.at, seamAt + 16)
    head.writeUInt32LE(seam.records, seamAt + 24)
  }
  head.write(tenant, tenantAt, 'latin1')
  head.writeUInt32LE(headCrc(head, length, offset), length)
  return head
}

/** A head for the bytes `[offset, end)`, at least {@link smallestHead} of them, that makes readers step over them. */
export function encodeHole(marker: Buffer, offset: number, end: number): Buffer {
  const head = Buffer.alloc(smallestHead)
  marker.copy(head)
  head[8] = holeKind
  head.writeUInt32LE(end - offset - smallestHead, 12)
  head.writeUInt32LE(headCrc(head, fixedBytes, offset), fixedBytes)
  return head
}

/** How long a head is that begins with these bytes; undefined when none does. At least {@link smallestHead} bytes. */
export function headLength(bytes: Buffer, marker: Buffer): number | undefined {
  if (bytes.compare(marker, 0, markerBytes, 0, markerBytes) !== 0) return undefined
  return smallestHead + 16 * bytes[10]! + (hasSeam(bytes[8]!) ? seamBytes : 0) + bytes[11]!
}

/**
 * The head in `bytes`, which has its length; undefined when it is damaged or none.
 *
 * @throws {@link UnknownRecordError}
 */
export function decodeHead(bytes: Buffer, offset: number): RecordHead | undefined {
  const length = bytes.length - 4
  if (headCrc(bytes, length, offset) !== bytes.readUInt32LE(length)) return undefined
  if (!knownKinds.has(bytes[8]!)) {
    throw new UnknownRecordError(
      `the write-ahead log has records of kind ${bytes[8]}: a newer version wrote them, and only it can read them`,
    )
  }
  const ranges = bytes[10]!
  const accepted = Array.from(
    { length: ranges },
    (_, i): ByteRange => [bytes.readDoubleLE(fixedBytes + 16 * i), bytes.readDoubleLE(fixedBytes + 16 * i + 8)],
  )
  return {
    accepted,
    receivedAt: bytes.readDoubleLE(28),
    // Copied: the bytes are a part of something much larger.
    source: (bytes[9]! & hasSource) === 0 ? undefined : Buffer.from(bytes.subarray(36, 52)),
    records: bytes.readUInt32LE(20),
    seam: hasSeam(bytes[8]!) ? decodeSeam(bytes, fixedBytes + 16 * ranges) : undefined,
    tenant: bytes[11] === 0 ? undefined : bytes.toString('latin1', length - bytes[11]!, length),
    groupStart: offset - bytes.readUInt32LE(24),
    isHole: bytes[8] === holeKind,
    headLength: bytes.length,
    messageLength: bytes.readUInt32LE(12),
    messageCrc: bytes.readUInt32LE(16),
  }
}

function decodeSeam(bytes: Buffer, at: number): WalSeam {
  const source = Buffer.from(bytes.subarray(at, at + 16))
  return { source, at: bytes.readDoubleLE(at + 16), records: bytes.readUInt32LE(at + 24) }
}

const offsetBytes = Buffer.alloc(8)

/** With the offset in it, a copy of a record elsewhere, such as in a message that holds a piece of this log, is none. */
function headCrc(head: Buffer, length: number, offset: number): number {
  offsetBytes.writeDoubleLE(offset)
  return crc32c(head.subarray(0, length), crc32c(offsetBytes))
}
