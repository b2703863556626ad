/** What comes over Forward, and what of it is decoded to rows. */
import { gzipSync } from 'node:zlib'
import { MessageDecoder } from '@tributary/aggregator/load/decode-message.ts'
import { textOf, ValueReader } from '@tributary/aggregator/load/decode-value.ts'
import { encodePush } from '@tributary/aggregator/push/push-message.ts'
import { checkMessage } from '@tributary/aggregator/receive/check-message.ts'
import {
  type ChunkHeader,
  chunkHeader,
  chunkOptions,
  encodeAck,
  ledgerQuery,
  ledgerQueryOptions,
  parseAck,
  querySession,
} from '@tributary/protocol/chunk.ts'
import { CompressionError, compress, declaredSize, decompress } from '@tributary/protocol/compression.ts'
import { forwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import {
  checkPong,
  encodeHelo,
  encodePing,
  encodePong,
  HandshakeError,
  newHelo,
  parseHelo,
  parsePing,
  refusal,
} from '@tributary/protocol/handshake.ts'
import { decode, EventTime, encode, MsgpackError, skip, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import {
  decodeAttributes,
  encodeAttributes,
  RecordScanner,
  stderr,
  stdout,
  writeRecordHead,
} from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import type { Target } from '../fuzz.ts'
import { bytesLike } from '../inputs.ts'
import { maxBytes, push, start, target } from './target.ts'

const time = new EventTime(1_700_000_000, 5)
const source = Buffer.alloc(16, 7)
const values = [
  null,
  true,
  -5,
  2 ** 40,
  0.5,
  'text',
  Buffer.from([0xff, 0]),
  ['a', { b: ['c'] }],
  { log: 'x'.repeat(40), n: { m: 1 } },
  time,
]

function records(): { bytes: Buffer; count: number } {
  const out = Buffer.alloc(4096)
  let p = 0
  for (const [i, line] of [
    'level=info one',
    'two',
    '{"a":"b","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}',
  ].entries()) {
    const attributes = i === 1 ? encodeAttributes({ level: 'warn', user: 'ann' }) : undefined
    p = writeRecordHead(
      out,
      p,
      1_700_000_000,
      i,
      10 * i,
      line.length,
      i === 2 ? stderr : stdout,
      i,
      false,
      attributes,
      attributes ? 2 : 0,
    )
    p += out.write(line, p)
  }
  return { bytes: Buffer.from(out.subarray(0, p)), count: 3 }
}

const header: ChunkHeader = {
  ...{
    source,
    range: [0, 100],
    seen: 120,
    rawBytes: 300,
    path: '/var/log/pods/x/0.log',
    labels: { pod: 'p', app: 'a' },
  },
  ...{ metadata: { pod_uid: 'u' }, session: 's', leftOut: { dropped: 5 } },
}
const seamed: ChunkHeader = { ...header, seam: { source: Buffer.alloc(16, 8), at: 60 } }
const lost: ChunkHeader = { ...header, outcome: { kind: 'lost', reason: 'deleted' } }
const packed = records()
const entries = Buffer.concat([
  encode([time, { log: 'x', kubernetes: { pod_name: 'p', labels: { app: 'a' } } }]),
  encode([[time, { otlp: { severity_number: 9 } }], { message: 'm' }]),
  encode([5, { k: [1, null] }]),
])
const message = (bytes: Uint8Array, options: Record<string, unknown>) =>
  Buffer.concat(forwardMessage('tag', bytes, options))
const messages = [
  encode(null),
  encode(['t', time, { log: 'x' }, { chunk: 'c' }]),
  encode([
    't',
    [
      [time, { log: 'x' }],
      [[5, {}], { message: 'y' }],
    ],
    { chunk: 'c', fluent_signal: 0 },
  ]),
  message(entries, { chunk: 'c' }),
  message(compress(entries, 'gzip'), { compressed: 'gzip' }),
  message(compress(packed.bytes, 'zstd'), chunkOptions(header, packed.count, 'zstd')),
  message(packed.bytes, chunkOptions(seamed, packed.count, 'none')),
  message(Buffer.alloc(0), chunkOptions(lost, 0, 'none')),
  message(Buffer.alloc(0), ledgerQueryOptions('q', [{ source, keep: 5 }], 's')),
]

const helo = newHelo(true)
const salt = 'salt of 16 bytes'
const ping = encodePing(helo, 'client', salt, { sharedKey: 'k', username: 'u', password: 'p' })

const decoder = () =>
  new MessageDecoder({
    discoverServiceName: true,
    detectLevel: true,
    detectTrace: true,
    maxEntriesBytes: maxBytes,
    id: 'here',
  })

const noRows = { setStream: () => {}, add: () => {} }

export const wireTargets: readonly Target[] = [
  target('MessagePack values', bytesLike(values.map((value) => encode(value))), [MsgpackError], (bytes) => {
    if (skip(bytes, 0, bytes.length) > bytes.length) throw new RangeError('a value that ends behind its bytes')
    decode(bytes)
  }),
  target(
    'MessagePack, cut anywhere',
    fc.tuple(bytesLike(messages), fc.array(fc.nat(400), { maxLength: 5 })),
    [MsgpackError],
    ([bytes, cuts]) => {
      const splitter = new ValueSplitter(4096)
      let from = 0
      for (const cut of [...cuts, bytes.length].map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b)) {
        splitter.push(bytes.subarray(from, cut))
        from = cut
      }
    },
  ),
  target(
    'records of other senders, as values',
    bytesLike(values.map((value) => encode(value))),
    [MsgpackError],
    (bytes) => {
      const reader = new ValueReader(bytes)
      while (!reader.done) textOf(reader.next())
    },
  ),
  target('Forward messages', bytesLike(messages), [MsgpackError], (bytes) => parseMessage(bytes)),
  target('what the receiver takes', bytesLike(messages), [ReceiveError], (bytes) => checkMessage(bytes, maxBytes)),
  target(
    'headers of chunks, queries, acknowledgements',
    bytesLike([...messages, encodeAck({ ack: 'c', ranges: [[[0, 5]]] })]),
    [MsgpackError],
    (bytes) => {
      const value = decode(bytes)
      const options = Array.isArray(value) ? value.at(-1) : value
      chunkHeader(options)
      ledgerQuery(options)
      querySession(options)
      parseAck(value)
    },
  ),
  target('records of a chunk', bytesLike([packed.bytes]), [MsgpackError], (bytes) => {
    const scanner = new RecordScanner(bytes)
    while (scanner.next())
      if (scanner.attributeCount > 0) decodeAttributes(bytes, scanner.attributesStart, scanner.attributesEnd)
  }),
  target('messages to rows', bytesLike([...messages, encodePush(push)]), [MsgpackError, CompressionError], (bytes) =>
    decoder().decode({ message: bytes, accepted: [[0, 100]], start, tenant: 'shop' }, noRows),
  ),
  target(
    'handshakes',
    bytesLike([encodeHelo(helo), ping, encodePong(helo, parsePing(ping), 'server', 'k')]),
    [HandshakeError],
    (bytes) => {
      const parsers = [
        () => parseHelo(bytes),
        () => refusal(helo, parsePing(bytes), 'k', new Map([['u', 'p']])),
        () => checkPong(bytes, helo, salt, 'client', 'k'),
      ]
      let refused: unknown
      let taken = 0
      for (const parse of parsers) {
        try {
          parse()
          taken++
        } catch (error) {
          if (!(error instanceof HandshakeError)) throw error
          refused = error
        }
      }
      if (taken === 0) throw refused
    },
  ),
  target(
    'gzip and zstd',
    bytesLike(
      [
        compress(entries, 'gzip') as Buffer,
        compress(entries, 'zstd') as Buffer,
        gzipSync(Buffer.alloc(3000)),
        compress(Buffer.alloc(1 << 16), 'zstd') as Buffer,
      ].map((bytes) => Buffer.from(bytes)),
    ),
    [CompressionError],
    (bytes) => {
      declaredSize(bytes)
      if (decompress(bytes, 1 << 15).length > 1 << 15) throw new RangeError('more than the cap')
    },
  ),
]
