/**
 * How ClickHouse ends a result that breaks off when rows were sent already: a block behind them that begins and ends with a tag from the
 * response's headers.
 *
 *     \r\n__exception__\r\n<tag>\r\n<message>\n<length> <tag>\r\n__exception__\r\n
 */
import { parseError } from '@clickhouse/client'

const marker = '__exception__\r\n'

/** Passes the pieces on up to such a block, whose exception it throws. */
export async function* untilException(
  stream: AsyncIterable<Buffer>,
  tag: string,
): AsyncGenerator<Buffer, void, undefined> {
  if (tag === '') {
    yield* stream
    return
  }
  const begin = Buffer.from(`\r\n${marker}${tag}\r\n`)
  // As much as the beginning of a block could be held back until it is known not to be one.
  let held: Buffer = Buffer.alloc(0)
  for await (const piece of stream) {
    const bytes: Buffer = held.length === 0 ? piece : Buffer.concat([held, piece])
    const at = bytes.indexOf(begin)
    if (at !== -1) {
      if (at > 0) yield bytes.subarray(0, at)
      throw await exceptionOf(bytes.subarray(at + begin.length), stream)
    }
    const keep = Math.min(bytes.length, begin.length - 1)
    held = Buffer.from(bytes.subarray(bytes.length - keep))
    if (bytes.length > keep) yield bytes.subarray(0, bytes.length - keep)
  }
  if (held.length > 0) yield held
}

/** Messages are not longer. */
const maxMessage = 64 * 1024

async function exceptionOf(first: Buffer, rest: AsyncIterable<Buffer>): Promise<Error> {
  const pieces = [first]
  let size = first.length
  for await (const piece of rest) {
    if (size > maxMessage) break
    pieces.push(piece)
    size += piece.length
  }
  const text = Buffer.concat(pieces).toString('utf8')
  return parseError(text.replace(/\n\d+ [\da-f]+\r\n__exception__\r\n$/, ''))
}
