/**
 * Entries that nest deeper than an aggregator decodes. They are left out, so that what was sent beside them goes on: whoever sent them would
 * send all of it again for ever, and a Fluent Bit that is sent such a record closes the connection of everybody else. Pure.
 */
import { type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { encode, isTooDeep, skip } from '@tributary/protocol/msgpack.ts'

export interface Shallow {
  readonly bytes: Buffer
  readonly message: ForwardMessage
  /** How many entries were left out. */
  readonly leftOut: number
}

/**
 * A message without such entries; the same one where there are none. What lies packed in a string is not looked into.
 *
 * @param bytes the whole message, which `message` was parsed from, its entries checked
 */
export function withoutDeepEntries(bytes: Buffer, message: ForwardMessage): Shallow {
  const { mode, tag, entries, options } = message
  if (mode === 'packed' || !isTooDeep(bytes, 0)) return { bytes, message, leftOut: 0 }
  if (mode === 'message') return { bytes, message: { ...message, entries: Buffer.alloc(0), count: 0 }, leftOut: 1 }
  const kept: Buffer[] = []
  let leftOut = 0
  for (let at = 0; at < entries.length; ) {
    const end = skip(entries, at, entries.length)
    if (isTooDeep(entries, at)) leftOut++
    else kept.push(entries.subarray(at, end))
    at = end
  }
  const array = Buffer.alloc(5, 0xdd)
  array.writeUInt32BE(kept.length, 1)
  const size = options['size'] === undefined ? {} : { size: kept.length }
  const rest = Buffer.concat([Buffer.of(0x93), encode(tag), array, ...kept, encode({ ...options, ...size })])
  return { bytes: rest, message: parseMessage(rest)!, leftOut }
}
