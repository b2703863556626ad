/** An application's message as it is passed on: the same bytes but for the option map, which is written anew. Pure. */
import { arrayHeader, type ForwardMessage } from '@tributary/protocol/forward.ts'
import { encode, skip } from '@tributary/protocol/msgpack.ts'

/** Below this a message is copied into one piece: cheaper than keeping, and writing, three. */
const copiedBytes = 4096

/**
 * The message with the keys of `own` in its option map. Its other options stay, but for what only a collector may say.
 *
 * @param bytes the whole message, which `message` was parsed from; may be kept as a view
 * @returns buffers to write one after another
 */
export function relayMessage(bytes: Buffer, message: ForwardMessage, own: Readonly<Record<string, unknown>>): Buffer[] {
  const start = arrayHeader(bytes, 0)!.end
  const values = message.mode === 'message' ? 3 : 2
  let end = start
  for (let i = 0; i < values; i++) end = skip(bytes, end, bytes.length)
  const { tributary: _, ...kept } = message.options
  const pieces = [Buffer.of(0x90 | (values + 1)), bytes.subarray(start, end), encode({ ...kept, ...own })]
  return end - start < copiedBytes ? [Buffer.concat(pieces)] : pieces
}
