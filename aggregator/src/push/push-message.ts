/**
 * What of a push was accepted, as it is kept in the write-ahead log (docs/formats/wal.md): a Forward message whose option map says
 * `tributary: {push: <version>}` and whose entries are MessagePack, per stream `[labels, [[seconds, nanoseconds, line, metadata?], …]]`.
 */
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { encode, MsgpackError } from '@tributary/protocol/msgpack.ts'
import { type Value, type ValueMap, ValueReader } from '../load/decode-value.ts'
import type { PushEntry, PushStream } from './push-request.ts'

/** Raised when an older reader could misread what a newer writer writes. */
export const pushVersion = 1

export function encodePush(streams: readonly PushStream[]): Buffer {
  let size = 0
  const pieces = streams.map(({ labels, entries }) => {
    size += entries.length
    return encode([labels, entries.map(encodeEntry)])
  })
  return Buffer.concat(forwardMessage('push', Buffer.concat(pieces), { size, tributary: { push: pushVersion } }))
}

function encodeEntry({ seconds, nanoseconds, line, metadata }: PushEntry): unknown[] {
  return metadata === undefined ? [seconds, nanoseconds, line] : [seconds, nanoseconds, line, metadata]
}

/** Whether the options are a push's. Throws {@link MsgpackError} for another version. */
export function isPush(options: Readonly<Record<string, unknown>>): boolean {
  const push = (options['tributary'] as Record<string, unknown> | null | undefined)?.['push']
  if (push === undefined) return false
  if (push !== pushVersion) throw new MsgpackError(`push version ${push}, this aggregator reads ${pushVersion}`)
  return true
}

type Texts = Readonly<Record<string, string>>

/** The streams of a push; nothing of it can be used when it throws {@link MsgpackError}. */
export function readPush(entries: Buffer): { readonly labels: Texts; readonly entries: readonly PushEntry[] }[] {
  const reader = new ValueReader(entries)
  const streams: { labels: Texts; entries: PushEntry[] }[] = []
  while (!reader.done) {
    const stream = reader.next()
    if (!Array.isArray(stream) || stream.length !== 2) throw broken()
    const [labels, list] = stream
    if (!Array.isArray(list)) throw broken()
    streams.push({ labels: textsOf(labels), entries: list.map(decodeEntry) })
  }
  return streams
}

function decodeEntry(value: Value): PushEntry {
  if (!Array.isArray(value)) throw broken()
  const [seconds, nanoseconds, line, metadata] = value
  if (typeof seconds !== 'number' || typeof nanoseconds !== 'number' || !Buffer.isBuffer(line)) throw broken()
  return { seconds, nanoseconds, line, metadata: metadata === undefined ? undefined : textsOf(metadata) }
}

function textsOf(value: Value | undefined): Texts {
  if (!(value instanceof Map)) throw broken()
  const texts: Record<string, string> = Object.create(null)
  for (const [name, text] of value as ValueMap) {
    if (!Buffer.isBuffer(text)) throw broken()
    texts[name] = text.toString()
  }
  return texts
}

const broken = (): MsgpackError => new MsgpackError('a push that is not as it was written')
