/**
 * The option map of a chunk (see {@link chunkOptions}) as bytes, written by hand: a collector makes one for every quarter of a megabyte of log, and
 * labels and metadata are most of it and the same for all chunks of a source.
 */
import {
  type ChunkHeader,
  type Compression,
  chunkId,
  chunkOptions,
  chunkVersion,
  type StreamMetadata,
} from './chunk.ts'
import { encode } from './msgpack.ts'

/** An encoded option map, and what the chunk is acknowledged by. */
export interface EncodedOptions {
  readonly id: string
  readonly bytes: Buffer
}

/** What the map has beside path, session and stream, and lengths and keys of these three: bytes, more than it ever takes. */
const fixedBytes = 256

export class ChunkEncoder {
  readonly #session: string
  /** The pairs `labels` and `metadata` of each stream, by its metadata. */
  readonly #streams = new WeakMap<StreamMetadata['metadata'], { labels: StreamMetadata['labels']; bytes: Buffer }>()

  /** @param session see {@link ChunkHeader.session} */
  constructor(session: string) {
    this.#session = session
  }

  /** Labels and metadata that are the same objects as in an earlier header are taken to have stayed as they were. */
  encode(header: ChunkHeader, records: number, compression: Compression): EncodedOptions {
    const { source, range, seen, rawBytes, path, outcome, leftOut, seam } = header
    if (outcome !== undefined || leftOut !== undefined || seam !== undefined || source.length !== 16) {
      const options = chunkOptions({ ...header, session: this.#session }, records, compression)
      return { id: options['chunk'] as string, bytes: encode(options) }
    }
    const id = chunkId(source, range)
    const stream = this.#streamOf(header)
    const out = Buffer.allocUnsafe(fixedBytes + 3 * (path.length + this.#session.length) + stream.length)
    out[0] = compression === 'none' ? 0x83 : 0x84
    let at = writeText(out, 1, 'chunk')
    at = writeText(out, at, id)
    at = writeText(out, at, 'size')
    at = writeUint(out, at, records)
    if (compression !== 'none') {
      at = writeText(out, at, 'compressed')
      at = writeText(out, at, compression)
    }
    at = writeText(out, at, 'tributary')
    out[at] = 0x8a
    at = writeText(out, at + 1, 'v')
    at = writeUint(out, at, chunkVersion)
    at = writeText(out, at, 'source')
    out[at] = 0xc4
    out[at + 1] = source.length
    at += 2 + source.copy(out, at + 2)
    at = writeText(out, at, 'first')
    at = writeUint(out, at, range[0])
    at = writeText(out, at, 'end')
    at = writeUint(out, at, range[1])
    at = writeText(out, at, 'seen')
    at = writeUint(out, at, seen)
    at = writeText(out, at, 'raw')
    at = writeUint(out, at, rawBytes)
    at = writeText(out, at, 'path')
    at = writeText(out, at, path)
    at += stream.copy(out, at)
    at = writeText(out, at, 'session')
    at = writeText(out, at, this.#session)
    return { id, bytes: out.subarray(0, at) }
  }

  #streamOf({ labels, metadata }: StreamMetadata): Buffer {
    let found = this.#streams.get(metadata)
    if (found?.labels !== labels) {
      const bytes = Buffer.concat([encode('labels'), encode(labels), encode('metadata'), encode(metadata)])
      found = { labels, bytes }
      this.#streams.set(metadata, found)
    }
    return found.bytes
  }
}

/** Writes a str and returns the position behind it. */
function writeText(out: Buffer, at: number, text: string): number {
  // Its length is known once it is written: of nearly all texts the header has the size that their characters suggest.
  const guess = headerBytes(text.length)
  let length = out.write(text, at + guess)
  const header = headerBytes(length)
  if (header !== guess) length = out.write(text, at + header)
  if (header === 1) out[at] = 0xa0 | length
  else if (header === 2) {
    out[at] = 0xd9
    out[at + 1] = length
  } else if (header === 3) {
    out[at] = 0xda
    out.writeUInt16BE(length, at + 1)
  } else {
    out[at] = 0xdb
    out.writeUInt32BE(length, at + 1)
  }
  return at + header + length
}

function headerBytes(length: number): number {
  if (length < 0x20) return 1
  if (length < 0x100) return 2
  return length < 0x10000 ? 3 : 5
}

/** Writes a non-negative safe integer and returns the position behind it. */
function writeUint(out: Buffer, at: number, value: number): number {
  if (value < 0x80) {
    out[at] = value
    return at + 1
  }
  if (value < 0x100) {
    out[at] = 0xcc
    out[at + 1] = value
    return at + 2
  }
  if (value < 0x10000) {
    out[at] = 0xcd
    return out.writeUInt16BE(value, at + 1)
  }
  if (value <= 0xffffffff) {
    out[at] = 0xce
    return out.writeUInt32BE(value, at + 1)
  }
  out[at] = 0xcf
  out.writeUInt32BE(Math.floor(value / 0x100000000), at + 1)
  return out.writeUInt32BE(value % 0x100000000, at + 5)
}
