/**
 * A zstd decompressor that is used again and again, into memory that is used again. `zstdDecompressSync` makes a stream, a context and output
 * buffers for every call, and V8 goes through its whole heap each time that 64 MiB of such memory were made (docs/decisions/0011).
 */
import { createZstdDecompress } from 'node:zlib'
import { type Context, contextOf } from './zstd-handle.ts'

/** What decompresses to more goes the ordinary way: the output is kept, and no chunk of a collector is that large. Bytes. */
const maxKeptOutput = 2 << 20
/** In the state before the handle has written it: more than is ever left of either. */
const untouched = 0xffffffff

export class ZstdDecompressor {
  readonly #open: typeof openContext
  #out: Buffer = Buffer.alloc(0)
  /** Undefined before the first use and after a frame that was broken, null where there is none to be had. */
  #context: Context | undefined | null

  /** @param open makes a context; null where there is none to be had */
  constructor(open: typeof openContext = openContext) {
    this.#open = open
  }

  /**
   * The content of one whole frame, valid until the next call. Undefined where it is not what the frame says, or the frame is broken or too
   * large: then the ordinary way tells what it is.
   *
   * @param contentBytes what the frame says of its size
   */
  decompress(frame: Uint8Array, contentBytes: number): Buffer | undefined {
    if (this.#context === null || contentBytes > maxKeptOutput) return undefined
    this.#context ??= this.#open()
    if (this.#context === null) return undefined
    // One byte more, to see that there is no more.
    const room = contentBytes + 1
    if (this.#out.length < room)
      this.#out = Buffer.allocUnsafeSlow(Math.max(room, Math.min(2 * this.#out.length, maxKeptOutput + 1)))
    const { handle, state } = this.#context
    // After an error the handle leaves it as it was.
    state.fill(untouched)
    // All of the input at once, and room for all of the output: nothing is buffered in between.
    handle.writeSync(endOfInput, frame, 0, frame.length, this.#out, 0, room)
    const [left, unread] = state as unknown as [number, number]
    if (unread === 0 && left === 1) return this.#out.subarray(0, contentBytes)
    handle.close()
    this.#context = undefined
    return undefined
  }
}

/** ZSTD_e_end. */
const endOfInput = 2

/** Null where Node is not built as expected. */
function openContext(): Context | null {
  return contextOf(createZstdDecompress({ chunkSize: 64 }))
}
