/**
 * The body of a push, as it comes and decompressed. Whatever a header promises, both are capped, and what is in memory counts at once.
 *
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */
import type { Readable } from 'node:stream'
import { createGunzip, createInflateRaw } from 'node:zlib'
import { uncompress } from 'snappy'
import type { HeldMemory } from './push-memory.ts'
import { PushError } from './push-request.ts'

export type BodyEncoding = 'identity' | 'snappy' | 'gzip' | 'deflate'

/** How a body is compressed that came with these headers: a protobuf without an encoding is Snappy's block format. */
export function bodyEncoding(contentEncoding: string | undefined, json: boolean): BodyEncoding {
  switch (contentEncoding?.trim().toLowerCase() ?? '') {
    case '':
    case 'snappy':
      return json ? 'identity' : 'snappy'
    case 'gzip':
      return 'gzip'
    case 'deflate':
      return 'deflate'
    default:
      throw new PushError(400, 'encoding', `Content-Encoding ${JSON.stringify(contentEncoding)} not supported`)
  }
}

/** What a piece of a body costs beside its bytes, about: bodies can come a byte at a time. */
const pieceOverhead = 200

/**
 * All of a body. What follows a refusal is read and dropped.
 *
 * @param length as its head has it; undefined where that does not say
 * @throws PushError 413 beyond `maxBytes`, 400 where it ends early, 503 where there is no room for it
 */
export function receiveBody(
  body: Readable,
  length: number | undefined,
  maxBytes: number,
  memory: HeldMemory,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let size = 0
    const take = (piece: Buffer) => {
      size += piece.length
      if (size > maxBytes) throw bodyTooLarge(maxBytes)
      memory.grow(piece.length + pieceOverhead)
      pieces.push(piece)
    }
    const onData = (piece: Buffer) => {
      try {
        take(piece)
      } catch (error) {
        end(error as Error)
      }
    }
    const end = (error?: Error) => {
      body.off('data', onData).off('end', end)
      if (error) reject(error)
      else if (length !== undefined && size !== length)
        reject(cutShort('the body is not as long as Content-Length says'))
      else resolve(Buffer.concat(pieces, size))
    }
    // Also of what is refused already: its client may go at any time.
    const onError = (error: Error) => end(cutShort(error.message, { cause: error }))
    if (length !== undefined && length > maxBytes) return reject(bodyTooLarge(maxBytes))
    body.on('data', onData).on('end', end).on('error', onError)
  })
}

/**
 * @param maxBytes cap on the output
 * @param memory has the body already; gets what it becomes, twice: decompressed, and as it goes to the log
 * @throws {@link PushError} 413 beyond the cap, 400 where the bytes are not what the encoding says, 503 where there is no room for it
 */
export async function decompressBody(
  body: Buffer,
  encoding: BodyEncoding,
  maxBytes: number,
  memory: HeldMemory,
): Promise<Buffer> {
  if (encoding === 'gzip' || encoding === 'deflate') return inflate(body, encoding, maxBytes, memory)
  const size = encoding === 'snappy' ? snappySize(body) : body.length
  if (size > maxBytes) throw tooLarge(maxBytes)
  memory.grow(2 * size)
  if (encoding === 'identity') return body
  try {
    return (await uncompress(body, { asBuffer: true })) as Buffer
  } catch (error) {
    throw corrupt(encoding, error)
  }
}

/** Their size shows only as they are decompressed: some hundred kilobytes can become all that one push may have. */
async function inflate(
  body: Buffer,
  encoding: 'gzip' | 'deflate',
  maxBytes: number,
  memory: HeldMemory,
): Promise<Buffer> {
  const stream = encoding === 'gzip' ? createGunzip() : createInflateRaw()
  const pieces: Buffer[] = []
  let size = 0
  stream.end(body)
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      size += piece.length
      if (size > maxBytes) throw tooLarge(maxBytes)
      memory.grow(2 * piece.length)
      pieces.push(piece)
    }
  } catch (error) {
    throw error instanceof PushError ? error : corrupt(encoding, error)
  }
  return Buffer.concat(pieces, size)
}

/** The size that a Snappy block says it has, a varint of 32 bits at its start. */
function snappySize(body: Buffer): number {
  let size = 0
  for (let i = 0; i < 5; i++) {
    const byte = body[i]
    if (byte === undefined) break
    size += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80 && size < 2 ** 32) return size
  }
  throw new PushError(400, 'encoding', 'snappy: corrupt input')
}

function tooLarge(maxBytes: number): PushError {
  return new PushError(413, 'too_large', `request body too large: decompressed message exceeds limit ${maxBytes}`)
}

const bodyTooLarge = (maxBytes: number) =>
  new PushError(413, 'too_large', `request body too large: compressed message exceeds limit ${maxBytes}`)

const cutShort = (message: string, options?: ErrorOptions) => new PushError(400, 'body', message, options)

const corrupt = (encoding: BodyEncoding, error: unknown) =>
  new PushError(400, 'encoding', `${encoding}: ${(error as Error).message}`, { cause: error })
