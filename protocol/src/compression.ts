/**
 * Compression of a chunk's entries. What a peer says about sizes is a hint: the output is capped whatever a header promises, and
 * the magic number decides what the bytes are, not the option beside them.
 *
 * @see RFC 8878 (zstd), RFC 1952 (gzip)
 */
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib'
import type { Compression } from './chunk.ts'
import { ZstdCompressor } from './zstd-compressor.ts'
import type { ZstdDecompressor } from './zstd-decompressor.ts'

/** Compressed bytes that are broken, or that grow beyond what is allowed. */
export class CompressionError extends Error {
  override readonly name = 'CompressionError'
  /** `corrupt`: not what the magic number promises. `too_large`: a zip bomb, or a cap set too low for this sender. */
  readonly reason: 'corrupt' | 'too_large'
  constructor(reason: 'corrupt' | 'too_large', message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

const zstd = new ZstdCompressor(1)

/** Level 1 of either: higher levels cost several times the CPU for 2 % less size (docs/performance.md). */
export function compress(raw: Uint8Array, compression: Compression): Uint8Array {
  if (compression === 'none') return raw
  return compression === 'gzip' ? gzipSync(raw, { level: 1 }) : zstd.compress(raw)
}

export function compressionOf(bytes: Uint8Array): Compression {
  if (bytes.length >= 4 && bytes[0] === 0x28 && bytes[1] === 0xb5 && bytes[2] === 0x2f && bytes[3] === 0xfd)
    return 'zstd'
  if (isSkippableFrame(bytes, 0)) return 'zstd'
  if (bytes.length >= 3 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8) return 'gzip'
  return 'none'
}

/** An output buffer is never reserved for more than this on a sender's word alone, in bytes. */
const trustedSize = 16 << 20

/**
 * The bytes decompressed, all members and frames one after another (Fluentd appends a gzip member for each write); uncompressed
 * bytes are returned as they are.
 *
 * @param maxBytes cap on the output
 * @param kept is used where it can be: then what is returned is valid until it is used again
 * @throws {@link CompressionError}
 */
export function decompress(bytes: Uint8Array, maxBytes: number, kept?: ZstdDecompressor): Buffer {
  const compression = compressionOf(bytes)
  if (compression === 'none') return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (compression === 'gzip') return capped(() => gunzipSync(bytes, { maxOutputLength: maxBytes }), maxBytes)
  const parts: Buffer[] = []
  let left = maxBytes
  for (let at = 0; at < bytes.length; ) {
    const frame = zstdFrame(bytes, at)
    if (!frame.skippable) {
      if ((frame.contentBytes ?? 0) > left) throw tooLarge(maxBytes)
      if (at === 0 && frame.end === bytes.length && frame.contentBytes !== undefined) {
        const content = kept?.decompress(bytes, frame.contentBytes)
        if (content !== undefined) return content
      }
      const part = capped(
        () =>
          zstdDecompressSync(bytes.subarray(at, frame.end), {
            // One more than 0 as a cap of nothing is refused by node:zlib; checked below.
            maxOutputLength: Math.max(left, 1),
            chunkSize: Math.max(1024, Math.min(frame.contentBytes ?? 1 << 18, trustedSize, left)),
          }),
        maxBytes,
      )
      left -= part.length
      if (left < 0) throw tooLarge(maxBytes)
      parts.push(part)
    }
    at = frame.end
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/**
 * How many bytes the first frame or last member says it decompresses to; undefined when it doesn't say. Cheap enough to refuse an
 * honest bomb before it is stored; a lying one is stopped by the cap of {@link decompress}.
 */
export function declaredSize(bytes: Uint8Array): number | undefined {
  const compression = compressionOf(bytes)
  if (compression === 'gzip' && bytes.length >= 18) {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32LE(bytes.length - 4)
  }
  return compression === 'zstd' && !isSkippableFrame(bytes, 0) ? frameHeader(bytes, 0).contentBytes : undefined
}

function capped(run: () => Buffer, maxBytes: number): Buffer {
  try {
    return run()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw corrupt((error as Error).message, error)
  }
}

function tooLarge(maxBytes: number): CompressionError {
  return new CompressionError('too_large', `the entries decompress to more than ${maxBytes} bytes`)
}

function corrupt(what: string, cause?: unknown): CompressionError {
  return new CompressionError('corrupt', `the compressed entries are broken: ${what}`, { cause })
}

function isSkippableFrame(b: Uint8Array, at: number): boolean {
  return (
    at + 8 <= b.length && (b[at]! & 0xf0) === 0x50 && b[at + 1] === 0x2a && b[at + 2] === 0x4d && b[at + 3] === 0x18
  )
}

interface ZstdFrame {
  readonly end: number
  readonly skippable: boolean
  readonly contentBytes: number | undefined
}

/** Where the frame at `at` ends: node:zlib decompresses the first frame only and doesn't say how far it got. */
function zstdFrame(b: Uint8Array, at: number): ZstdFrame {
  if (isSkippableFrame(b, at)) {
    const end = at + 8 + readLittleEndian(b, at + 4, 4)
    if (end > b.length) throw corrupt('a skippable frame is cut off')
    return { end, skippable: true, contentBytes: 0 }
  }
  const header = frameHeader(b, at)
  let p = header.end
  for (let last = false; !last; ) {
    if (p + 3 > b.length) throw corrupt('the frame is cut off')
    const block = readLittleEndian(b, p, 3)
    last = (block & 1) === 1
    const type = (block >> 1) & 3
    if (type === 3) throw corrupt('a reserved block type')
    p += 3 + (type === 1 ? 1 : block >> 3)
  }
  const end = p + header.checksumBytes
  if (end > b.length) throw corrupt('the frame is cut off')
  return { end, skippable: false, contentBytes: header.contentBytes }
}

/** RFC 8878 3.1.1.1: magic, descriptor, window, dictionary id, content size. */
function frameHeader(b: Uint8Array, at: number) {
  if (at + 5 > b.length || readLittleEndian(b, at, 4) !== 0xfd2fb528) throw corrupt('no frame where one was expected')
  const descriptor = b[at + 4]!
  const single = (descriptor & 0x20) !== 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag
  const sizeAt = at + 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  const end = sizeAt + sizeBytes
  if (end > b.length) throw corrupt('the frame header is cut off')
  const contentBytes =
    sizeBytes === 0 ? undefined : readLittleEndian(b, sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  return { end, contentBytes, checksumBytes: (descriptor & 4) === 0 ? 0 : 4 }
}

function readLittleEndian(b: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let i = at + length - 1; i >= at; i--) value = value * 256 + b[i]!
  return value
}
