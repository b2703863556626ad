/**
 * The body of a push, decompressed. Whatever a header promises, the output is capped.
 *
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */
import { promisify } from 'node:util'
import { gunzip, inflateRaw } from 'node:zlib'
import { uncompress } from 'snappy'
import { PushError } from './push-request.ts'

export type BodyEncoding = 'identity' | 'snappy' | 'gzip' | 'deflate'

const unzip = promisify(gunzip)
const inflate = promisify(inflateRaw)

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

/** A guess where the body doesn't tell: text compresses to a tenth or so. */
const usualRatio = 12

/** How much memory decompressing takes at most, as far as that can be known before: bytes. */
export function decompressedSize(body: Buffer, encoding: BodyEncoding, maxBytes: number): number {
  if (encoding === 'identity') return body.length
  if (encoding === 'snappy') return Math.min(maxBytes, snappySize(body))
  return Math.min(maxBytes, body.length * usualRatio)
}

/**
 * @param maxBytes cap on the output
 * @throws {@link PushError} 413 beyond the cap, 400 where the bytes are not what the encoding says
 */
export async function decompressBody(body: Buffer, encoding: BodyEncoding, maxBytes: number): Promise<Buffer> {
  if (encoding === 'identity') {
    if (body.length > maxBytes) throw tooLarge(maxBytes)
    return body
  }
  if (encoding === 'snappy' && snappySize(body) > maxBytes) throw tooLarge(maxBytes)
  try {
    if (encoding === 'snappy') return (await uncompress(body, { asBuffer: true })) as Buffer
    return await (encoding === 'gzip' ? unzip : inflate)(body, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new PushError(400, 'encoding', `${encoding}: ${(error as Error).message}`, { cause: error })
  }
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
