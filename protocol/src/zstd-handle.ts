/** What Node has below its zstd streams (docs/decisions/0011). It is not part of Node's interface: whoever takes it looks first whether it is there. */
import type { Transform } from 'node:stream'

export interface Handle {
  /**
   * Works on `[inAt, inAt + inLength)` of the input and writes to `[outAt, outAt + outLength)` of the output; what is left of either it writes
   * to the stream's state.
   */
  writeSync(
    flush: number,
    input: Uint8Array,
    inAt: number,
    inLength: number,
    out: Uint8Array,
    outAt: number,
    outLength: number,
  ): void
  close(): void
}

export interface Context {
  readonly handle: Handle
  /** Room left in the output, input left; written by the handle. */
  readonly state: Uint32Array
}

/** The context below a stream of node:zlib, which is used for nothing else; null where Node is not built as expected. */
export function contextOf(stream: Transform): Context | null {
  // What goes wrong in the handle is told to its stream; here it shows in the state.
  stream.on('error', () => undefined)
  const { _handle: handle, _writeState: state } = stream as { _handle?: Partial<Handle>; _writeState?: unknown }
  if (typeof handle?.writeSync !== 'function' || typeof handle.close !== 'function') return null
  if (!(state instanceof Uint32Array) || state.length !== 2) return null
  return { handle: handle as Handle, state }
}
