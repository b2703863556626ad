/**
 * What a spool file looks like (docs/formats/spool.md): a header that says whose bytes these are, then blocks of them, each
 * compressed and with a checksum of its own. The name carries the range, so that a file whose header is damaged can still be told
 * by byte range. Pure.
 */
import { crc32 } from 'node:zlib'
import type { LineFormat } from '../cri/line.ts'
import type { PodIdentity } from '../discover/layout.ts'
import type { CutBack } from '../tail/cut-back.ts'

export const spoolVersion = 1
/** Bytes of the source in one block. As many as are read at a time, so that reading decompresses little twice. */
export const blockBytes = 256 * 1024
const magic = Buffer.from('TRIBSPOL', 'latin1')
/** Magic, version, length and CRC-32 of what follows. */
export const prefixBytes = magic.length + 12
/** Lengths, offset, CRC-32 of the stored bytes, CRC-32 of all before it. */
export const blockHeaderBytes = 24
/** A header is never taken for longer than this: it is labels and paths. */
export const maxHeaderBytes = 1 << 20

/** Whose bytes a spool file has, and what is needed to read them as if the file were still there. */
export interface SpoolHeader {
  /** Hex of the source's id. */
  readonly source: string
  /** Offset of the first byte in the file: a little before the first that is not acknowledged, to recognise the place. */
  readonly first: number
  readonly format: LineFormat
  /** Where the source was last seen. */
  readonly path: string
  /** The log it is a generation of. */
  readonly log: {
    readonly directory: string
    readonly base?: string | undefined
    readonly identity?: PodIdentity | undefined
    readonly containerId?: string | undefined
  }
  /** Its place among the generations. */
  readonly name: { readonly restart: number; readonly rotation: string; readonly lasting: boolean }
  /** The fingerprint, base64: what the source begins with. */
  readonly head: string
  readonly truncations: number
  /** Set when the source begins within its file. Offsets are the source's, the head is the file's. */
  readonly cutBack?: CutBack | undefined
  /** When the file was last written to, ms since 1970. */
  readonly modifiedMs: number
  /** Time of the record before the first one that is not acknowledged; 0 where it is not known. */
  readonly seconds: number
  readonly nanoseconds: number
  readonly labels: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  /** Labels and metadata are what the path says: the pod was not known. */
  readonly partial: boolean
}

/** What a spool file's name tells. */
export interface SpoolName {
  /** Grows with each file that is written: of one log, the lower is the older. */
  readonly sequence: number
  readonly source: string
  /** The first byte that was not acknowledged when it was written. */
  readonly from: number
  /** End of the source. */
  readonly end: number
}

export function formatSpoolName({ sequence, source, from, end }: SpoolName): string {
  return `${String(sequence).padStart(12, '0')}-${source}-${from}-${end}.spool`
}

/** Undefined for any other name. */
export function parseSpoolName(name: string): SpoolName | undefined {
  const match = /^(\d{12,15})-([0-9a-f]{32})-(\d{1,16})-(\d{1,16})\.spool$/.exec(name)
  if (!match) return undefined
  const [sequence, from, end] = [match[1], match[3], match[4]].map(Number) as [number, number, number]
  if (!Number.isSafeInteger(end) || from > end) return undefined
  return { sequence, source: match[2]!, from, end }
}

/** Bytes of a spool file are not what was written. */
export class SpoolDamage extends Error {
  override readonly name = 'SpoolDamage'
  /** From here on nothing of the source can be read; undefined when not even whose bytes these are. */
  readonly from: { readonly source: string; readonly offset: number } | undefined
  constructor(what: string, from?: SpoolDamage['from'], options?: ErrorOptions) {
    super(what, options)
    this.from = from
  }
}

export function encodeSpoolHeader(header: SpoolHeader): Buffer {
  const body = Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(prefixBytes)
  magic.copy(prefix)
  prefix.writeUInt32LE(spoolVersion, 8)
  prefix.writeUInt32LE(body.length, 12)
  prefix.writeUInt32LE(crc32(body), 16)
  return Buffer.concat([prefix, body])
}

/** How long what follows the prefix is. Throws {@link SpoolDamage}. */
export function headerLength(prefix: Buffer): number {
  if (prefix.length < prefixBytes || !prefix.subarray(0, magic.length).equals(magic))
    throw new SpoolDamage('not a spool file')
  const version = prefix.readUInt32LE(8)
  if (version !== spoolVersion) throw new SpoolDamage(`version ${version}, this collector reads ${spoolVersion}`)
  const length = prefix.readUInt32LE(12)
  if (length > maxHeaderBytes) throw new SpoolDamage('a header of an impossible length')
  return length
}

/** Throws {@link SpoolDamage}. */
export function decodeSpoolHeader(prefix: Buffer, body: Buffer): SpoolHeader {
  if (body.length !== headerLength(prefix) || crc32(body) !== prefix.readUInt32LE(16))
    throw new SpoolDamage("the header's checksum differs")
  try {
    return JSON.parse(body.toString('utf8')) as SpoolHeader
  } catch (error) {
    // No bytes at all have a checksum of zero, as a file of zeros says.
    throw new SpoolDamage('the header is not JSON', undefined, { cause: error })
  }
}

export interface BlockHeader {
  /** Offset in the source of the block's first byte. */
  readonly offset: number
  /** Bytes of the source. */
  readonly raw: number
  /** Bytes behind the header: a zstd frame. */
  readonly stored: number
  readonly crc: number
}

export function encodeBlockHeader({ offset, raw, stored, crc }: BlockHeader): Buffer {
  const header = Buffer.alloc(blockHeaderBytes)
  header.writeUInt32LE(stored, 0)
  header.writeUInt32LE(raw, 4)
  header.writeBigUInt64LE(BigInt(offset), 8)
  header.writeUInt32LE(crc, 16)
  header.writeUInt32LE(crc32(header.subarray(0, 20)), 20)
  return header
}

/** Undefined when these are not the bytes of a header for `offset`. */
export function decodeBlockHeader(header: Buffer, offset: number): BlockHeader | undefined {
  if (header.length < blockHeaderBytes || crc32(header.subarray(0, 20)) !== header.readUInt32LE(20)) return undefined
  const found = {
    stored: header.readUInt32LE(0),
    raw: header.readUInt32LE(4),
    offset: Number(header.readBigUInt64LE(8)),
    crc: header.readUInt32LE(16),
  }
  return found.offset === offset && found.raw > 0 && found.raw <= blockBytes ? found : undefined
}
