/**
 * Loki's PushRequest in protobuf: `{repeated Stream streams = 1}`, Stream `{string labels = 1, repeated Entry entries = 2}`, Entry
 * `{Timestamp timestamp = 1, string line = 2, repeated LabelPair structuredMetadata = 3}`, LabelPair `{string name = 1, string value = 2}`.
 * Lines are views of the bytes given and need not be UTF-8.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { type PushEntry, PushError } from './push-request.ts'

/** A stream before its labels were looked at. */
export interface RawStream {
  readonly labels: string
  readonly entries: readonly PushEntry[]
}

/** @throws {@link PushError} where the bytes are no PushRequest */
export function readPushRequest(bytes: Buffer): RawStream[] {
  const streams: RawStream[] = []
  try {
    const reader = new BinaryReader(bytes)
    readFields(reader, bytes.length, (field) => {
      if (field === 1) streams.push(readStream(reader))
      return field === 1
    })
  } catch (error) {
    // The reader's own errors are RangeError and Error: whatever it says, the bytes are wrong.
    if (error instanceof TypeError) throw error
    throw new PushError(400, 'body', `protobuf: ${(error as Error).message}`, { cause: error })
  }
  return streams
}

/** Calls `take` for each field that has a length; it says whether it has read it. */
function readFields(reader: BinaryReader, end: number, take: (field: number) => boolean): void {
  while (reader.pos < end) {
    const [field, type] = reader.tag()
    if (type !== WireType.LengthDelimited || !take(field)) reader.skip(type, field)
  }
  if (reader.pos !== end) throw new RangeError('a field is longer than its message')
}

function messageEnd(reader: BinaryReader): number {
  const length = reader.uint32()
  const end = reader.pos + length
  if (end > reader.len) throw new RangeError('premature EOF')
  return end
}

function readStream(reader: BinaryReader): RawStream {
  let labels = ''
  const entries: PushEntry[] = []
  readFields(reader, messageEnd(reader), (field) => {
    if (field === 1) labels = reader.string()
    else if (field === 2) entries.push(readEntry(reader))
    else return false
    return true
  })
  return { labels, entries }
}

const noLine = Buffer.alloc(0)

function readEntry(reader: BinaryReader): PushEntry {
  let time = { seconds: 0, nanoseconds: 0 }
  let line: Buffer = noLine
  let metadata: Record<string, string> | undefined
  readFields(reader, messageEnd(reader), (field) => {
    if (field === 1) time = readTimestamp(reader)
    else if (field === 2) line = viewOf(reader.bytes())
    else if (field === 3) readPair(reader, (metadata ??= Object.create(null) as Record<string, string>))
    else return false
    return true
  })
  return { ...time, line, metadata }
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

const billion = 1_000_000_000
const mostSeconds = 9_223_372_035

/** Both fields are varints, so they are read here. */
function readTimestamp(reader: BinaryReader): { seconds: number; nanoseconds: number } {
  const end = messageEnd(reader)
  let seconds = 0
  let nanoseconds = 0
  while (reader.pos < end) {
    const [field, type] = reader.tag()
    if (field === 1 && type === WireType.Varint) seconds = Number(reader.int64())
    else if (field === 2 && type === WireType.Varint) nanoseconds = reader.int32()
    else reader.skip(type, field)
  }
  if (reader.pos !== end) throw new RangeError('a field is longer than its message')
  // Nanoseconds since 1970 in 64 bits, as everywhere in Loki.
  if (Math.abs(seconds) > mostSeconds) throw new RangeError('a timestamp out of range')
  if (nanoseconds < 0 || nanoseconds >= billion) throw new RangeError('a timestamp whose nanoseconds are none')
  return { seconds, nanoseconds }
}

function readPair(reader: BinaryReader, into: Record<string, string>): void {
  let name = ''
  let value = ''
  readFields(reader, messageEnd(reader), (field) => {
    if (field === 1) name = reader.string()
    else if (field === 2) value = reader.string()
    else return false
    return true
  })
  into[name] = value
}
