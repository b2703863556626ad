/**
 * A zstd compressor that is used again and again. `zstdCompressSync` makes a stream and a context of three quarters of a megabyte for every call,
 * and of each V8 has to be told and to collect it: with one context a collector reads a fifth more lines per CPU-second (docs/decisions/0011).
 */
import { constants, createZstdCompress, type ZstdOptions, zstdCompressSync } from 'node:zlib'
import { type Context, contextOf } from './zstd-handle.ts'

/** What is larger is compressed in the ordinary way: the output buffer is kept, and nothing that is sent often is that large. Bytes. */
const maxKeptInput = 2 << 20

export class ZstdCompressor {
  readonly #params: Record<number, number>
  readonly #open: typeof openContext
  #out: Buffer = Buffer.alloc(0)
  /** Undefined before the first use, null once it did not do what it should. */
  #context: Context | undefined | null

  /** @param open makes a context; null where there is none to be had */
  constructor(level: number, open: typeof openContext = openContext) {
    this.#open = open
    this.#params = { [constants.ZSTD_c_compressionLevel]: level }
  }

  /** One frame that tells its size, in memory of its own. */
  compress(raw: Uint8Array): Buffer {
    if (this.#context !== null && raw.length <= maxKeptInput) {
      this.#context ??= this.#open(this.#params)
      const length = this.#context === null ? -1 : this.#write(this.#context, raw)
      if (length !== -1) return copyOf(this.#out, length)
      this.#context?.handle.close()
      this.#context = null
    }
    // pledgedSrcSize is missing in @types/node 24.10; it puts the size into the frame header, which receivers size buffers by.
    const options: ZstdOptions & { pledgedSrcSize: number } = { pledgedSrcSize: raw.length, params: this.#params }
    return zstdCompressSync(raw, options)
  }

  /** The length of the frame in the output, -1 when there is no whole one. */
  #write({ handle, state }: Context, raw: Uint8Array): number {
    const room = frameBound(raw.length)
    if (this.#out.length < room) this.#out = Buffer.allocUnsafeSlow(room)
    const out = this.#out
    // All of the input at once, and room for all of the output: nothing is buffered in between, and the header tells the size.
    handle.writeSync(constants.ZSTD_e_end, raw, 0, raw.length, out, 0, room)
    const [left, unread] = state as unknown as [number, number]
    const length = room - left
    const whole = unread === 0 && left > 0 && length > 4 && out.readUInt32LE(0) === zstdMagic
    return whole ? length : -1
  }
}

const zstdMagic = 0xfd2fb528

/** Room that is enough for whatever `length` bytes compress to, as ZSTD_compressBound has it, and one byte to see that it was. */
function frameBound(length: number): number {
  return length + (length >> 8) + (length < 128 << 10 ? ((128 << 10) - length) >> 11 : 0) + 64
}

/** Memory of its own, of just that size: it is held until it is acknowledged. */
function copyOf(from: Buffer, length: number): Buffer {
  const own = Buffer.allocUnsafeSlow(length)
  from.copy(own, 0, 0, length)
  return own
}

/** Null where Node is not built as expected. */
function openContext(params: Record<number, number>): Context | null {
  return contextOf(createZstdCompress({ params, chunkSize: 64 }))
}
