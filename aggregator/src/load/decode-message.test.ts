import { gzipSync } from 'node:zlib'
import { chunkOptions, relayPart } from '@tributary/protocol/chunk.ts'
import { CompressionError, compress } from '@tributary/protocol/compression.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { EventTime, encode, MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { encodeAttributes, recordOverhead, writeRecordHead } from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limitsConfig } from '../access/config.ts'
import { TenantLimits } from '../access/tenant-limits.ts'
import { labelColumns, type RowStream } from '../store/row-stream.ts'
import { type DecodeOptions, MessageDecoder, type RowSink } from './decode-message.ts'

const options = {
  discoverServiceName: true,
  detectLevel: true,
  detectTrace: true,
  maxEntriesBytes: 1 << 20,
  id: 'here',
}
const position = { segment: 3, offset: 77 }

interface Row {
  labels: Readonly<Record<string, string>>
  sid: bigint
  time: [number, number]
  level: string
  metadata: Readonly<Record<string, string>>
  flags: number
  line: string
  source: string
  tenant: string
  offset: number
}

function decode(
  message: Buffer,
  accepted: ByteRange[],
  changes: Partial<DecodeOptions> = {},
  at = position,
  tenant?: string,
) {
  const rows: Row[] = []
  let stream: RowStream | undefined
  const sink: RowSink = {
    setStream: (next) => {
      stream = next
    },
    add: (seconds, nanoseconds, offset, level, bytes, start, end, flags = 0, attributes = {}) => {
      const own = labelColumns.filter((name) => stream![name] !== '').map((name) => [name, stream![name]])
      rows.push({
        labels: { ...stream!.labels, ...Object.fromEntries(own) },
        sid: stream!.sid,
        time: [seconds, nanoseconds],
        level,
        metadata: { ...stream!.meta, ...attributes },
        flags,
        line: bytes.toString('utf8', start, end),
        source: stream!.source.toString('hex'),
        tenant: stream!.tenant,
        offset,
      })
    },
  }
  const decoded = new MessageDecoder({ ...options, ...changes }).decode({ message, accepted, start: at, tenant }, sink)
  return { rows, ...decoded }
}

const source = Buffer.alloc(16, 9)
const range: ByteRange = [100, 200]

/** A chunk whose records lie every ten bytes; every second one is of stderr. */
function chunk(offsets: number[], flags = 0): Buffer {
  const out = Buffer.alloc(10_000)
  let p = 0
  for (const [i, offset] of offsets.entries()) {
    const line = Buffer.from(`level=warn line ${offset}`)
    expect(p + recordOverhead + line.length).toBeLessThan(out.length)
    p = writeRecordHead(out, p, 1_700_000_000, i, offset, line.length, i % 2 === 0 ? 0 : 1, flags, false)
    p += line.copy(out, p)
  }
  const labels = { namespace: 'shop', app: 'cart' }
  const header = { source, range, seen: 200, rawBytes: p, path: '/p', labels, metadata: { pod_uid: 'u' } }
  const entries = compress(out.subarray(0, p), 'zstd')
  return Buffer.concat(forwardMessage('t', entries, chunkOptions(header, offsets.length, 'zstd')))
}

test('a chunk of ours becomes rows with its labels, its metadata and its identity', () => {
  const { rows } = decode(chunk([100, 110], 3), [range])
  expect(rows[0]).toMatchObject({
    labels: { app: 'cart', namespace: 'shop', service_name: 'cart', stream: 'stdout' },
    time: [1_700_000_000, 0],
    level: 'warn',
    metadata: { pod_uid: 'u' },
    flags: 3,
    line: 'level=warn line 100',
    source: source.toString('hex'),
    offset: 100,
  })
  expect(rows[1]!.labels['stream']).toBe('stderr')
  expect(rows[1]!.sid).not.toBe(rows[0]!.sid)
})

test("a record's own attributes are metadata of its row, a level it tells is its level, and ids of traces are found", () => {
  const line = Buffer.from('level=warn trace_id=4bf92f3577b34da6a3ce929d0e0e4736')
  const attributes = { status: '200', pod_uid: 'own', detected_level: 'error' }
  const out = Buffer.alloc(1000)
  let p = writeRecordHead(out, 0, 1, 2, 100, line.length, 0, 0, false, encodeAttributes(attributes), 3)
  p += line.copy(out, p)
  p = writeRecordHead(out, p, 1, 3, 110, 5, 0, 0, false)
  p += out.write('plain', p)
  const header = { source, range, seen: 200, rawBytes: p, path: '/p', labels: {}, metadata: { pod_uid: 'u' } }
  const message = Buffer.concat(forwardMessage('t', out.subarray(0, p), chunkOptions(header, 2, 'none')))
  const { rows } = decode(message, [range])
  expect(rows.map(({ level, metadata }) => [level, metadata])).toEqual([
    ['error', { status: '200', pod_uid: 'own', trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' }],
    ['unknown', { pod_uid: 'u' }],
  ])
})

test('of a chunk with a seam, the records behind it are rows of the next source', () => {
  const next = Buffer.alloc(16, 8)
  const out = Buffer.alloc(1000)
  let p = 0
  for (const offset of [100, 150, 170]) {
    p = writeRecordHead(out, p, 1, 2, offset, 1, 0, 0, false)
    out[p++] = 0x78
  }
  const header = { source, range, seen: 200, rawBytes: p, path: '/p', labels: {}, metadata: {} }
  const options = chunkOptions({ ...header, seam: { source: next, at: 150 } }, 3, 'none')
  const message = Buffer.concat(forwardMessage('t', out.subarray(0, p), options))
  const identities = (accepted: ByteRange[]) => decode(message, accepted).rows.map((row) => [row.source, row.offset])
  const all = [
    [source.toString('hex'), 100],
    [next.toString('hex'), 0],
    [next.toString('hex'), 20],
  ]
  expect(identities([range])).toEqual(all)
  expect(identities([[160, 200]])).toEqual(all.slice(2))
})

test('only the records in the accepted parts become rows', () => {
  const offsets = [100, 110, 120, 130, 140, 150]
  const { rows } = decode(chunk(offsets), [
    [100, 120],
    [130, 131],
    [150, 200],
  ])
  expect(rows.map(({ offset }) => offset)).toEqual([100, 110, 130, 150])
  expect(decode(chunk(offsets), []).rows).toEqual([])
})

test('level and service name are left out when they are not asked for', () => {
  const [row] = decode(chunk([100]), [range], {
    discoverServiceName: false,
    detectLevel: false,
    detectTrace: false,
  }).rows
  expect(row!.level).toBe('')
  expect(row!.labels['service_name']).toBeUndefined()
})

test('a chunk of lost bytes has no rows', () => {
  const header = { source, range, seen: 200, rawBytes: 0, path: '', labels: {}, metadata: {} }
  const lost = chunkOptions({ ...header, outcome: { kind: 'lost', reason: 'deleted' } }, 0, 'none')
  expect(decode(Buffer.concat(forwardMessage('t', Buffer.alloc(0), lost)), [range]).rows).toEqual([])
})

const time = new EventTime(5, 6)
const records = [
  [time, { log: 'a' }],
  [time, { log: 'b', stream: 'stderr' }],
]
const packed = Buffer.concat(records.map((record) => encode(record)))
const members = Buffer.concat(records.map((record) => gzipSync(encode(record))))
test.for([
  { mode: 'Forward', message: encode(['t', records]) },
  { mode: 'PackedForward', message: encode(['t', packed]) },
  { mode: 'CompressedPackedForward, gzip members', message: encode(['t', members, { compressed: 'gzip' }]) },
  { mode: 'CompressedPackedForward, zstd', message: encode(['t', compress(packed, 'zstd'), { compressed: 'zstd' }]) },
])("another sender's $mode gives rows with an identity of their own", ({ message }) => {
  const { rows } = decode(message, [])
  expect(rows.map(({ line, offset }) => [line, offset])).toEqual([
    ['a', 0],
    ['b', 1],
  ])
  expect(rows[1]!.labels).toEqual({ service_name: 'unknown_service', stream: 'stderr', tag: 't' })
  expect(rows[0]!.time).toEqual([5, 6])
  expect(rows[0]!.source).toBe(decode(message, []).rows[0]!.source)
  expect(rows[0]!.source).not.toBe(decode(message, [], {}, { segment: 3, offset: 78 }).rows[0]!.source)
})

test('Message mode is one row', () => {
  expect(decode(encode(['t', time, { log: 'a' }]), []).rows).toMatchObject([{ line: 'a', offset: 0, time: [5, 6] }])
})

test.for([
  [-1, 0],
  [0, 0],
  [65_536 * 86_400 - 1, 65_536 * 86_400 - 1],
  [65_536 * 86_400, 65_536 * 86_400 - 1],
  [60_000_000_000, 65_536 * 86_400 - 1],
])('the time %i is stored as %i, flagged when it was moved', ([given, stored]) => {
  const { rows, clamped } = decode(encode(['t', given, { log: 'x' }]), [])
  expect(rows[0]!.time).toEqual([stored, 0])
  expect(rows[0]!.metadata).toEqual(given === stored ? {} : { timestamp_clamped: 'true' })
  expect(clamped).toBe(given === stored ? 0 : 1)
})

test.for([
  { what: 'a record outside its range', message: chunk([100, 200]), error: MsgpackError },
  { what: 'entries that are cut', message: encode(['t', packed.subarray(0, -1)]), error: MsgpackError },
  { what: 'a bomb', message: encode(['t', gzipSync(Buffer.alloc(2 << 20))]), error: CompressionError },
])('$what gives an error and no row', ({ message, error }) => {
  let rows = 0
  const sink = { setStream: () => {}, add: () => rows++ }
  expect(() => new MessageDecoder(options).decode({ message, accepted: [range], start: position }, sink)).toThrow(error)
  expect(rows).toBe(0)
})

test('what other senders bring beyond the limits of their tenant is cut or kept beside, and counted', () => {
  const limits = new TenantLimits({ limits: limitsConfig.parse({ maxLineBytes: 300, maxLabelValueBytes: 5 }) })
  const changes = { limits, discoverServiceName: false }
  const records = [
    { log: 'é'.repeat(200), kubernetes: { pod_name: 'a-long-pod', namespace_name: 'n' } },
    { log: 'short' },
  ]
  const { rows, truncated } = decode(encode(['tag', records.map((record) => [5, record])]), [], changes)
  expect(truncated).toBe(1)
  expect(rows.map(({ line, flags }) => [line, flags])).toEqual([
    ['é'.repeat(150), 1],
    ['short', 0],
  ])
  expect(rows[0]).toMatchObject({ labels: { namespace: 'n' }, metadata: { pod: 'a-long-pod' } })
  // Our own collectors have a limit of their own, which wins.
  expect(
    decode(chunk([100]), [range], { limits: { of: () => ({ ...limits.of('t'), maxLineBytes: 1 }) } }).truncated,
  ).toBe(0)
})

test('rows are of the tenant that the log names, and its sources are none but its own', () => {
  const own = (tenant?: string) => decode(chunk([100, 110]), [range], {}, position, tenant).rows[0]!
  expect([own().tenant, own('fake').tenant, own('shop').tenant]).toEqual(['fake', 'fake', 'shop'])
  expect(own().source).toBe(source.toString('hex'))
  expect(new Set([own(), own('fake'), own('shop'), own('bank')].map((row) => row.source)).size).toBe(3)
  expect(own('shop').sid).toBe(own().sid)
  const foreign = decode(encode(['t', packed]), [], {}, position, 'shop').rows
  expect(foreign.map(({ tenant }) => tenant)).toEqual(foreign.map(() => 'shop'))
})

test('any change to a message gives all of its rows or none and a typed error', () => {
  const seeds = [chunk([100, 110, 120]), encode(['t', packed]), encode(['t', members])]
  const seen = { rows: 0, errors: 0 }
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255))), (seed, changes) => {
      const message = Buffer.from(seed)
      for (const [at, value] of changes) message[at % message.length] = value
      let rows = 0
      try {
        new MessageDecoder(options).decode(
          { message, accepted: [range], start: position },
          { setStream: () => {}, add: () => rows++ },
        )
        seen.rows++
      } catch (error) {
        expect(error instanceof MsgpackError || error instanceof CompressionError, String(error)).toBe(true)
        expect(rows).toBe(0)
        seen.errors++
      }
    }),
    { numRuns: 3000 },
  )
  expect(Math.min(seen.rows, seen.errors)).toBeGreaterThan(200)
})

test('a message that a collector passed on gives the same rows wherever it is written down, and other ones than the next', () => {
  const stream = { labels: { pod: 'cart-0' }, metadata: { pod_uid: 'u' } }
  const source = Buffer.concat([Buffer.alloc(6), Buffer.alloc(10, 7)])
  const relayed = (range: ByteRange) => {
    const entries = encode([new EventTime(5, 6), { log: 'x' }])
    return Buffer.concat(forwardMessage('t', entries, { tributary: relayPart(stream, source, range) }))
  }
  const { rows } = decode(relayed([0, 20]), [[0, 20]])
  expect(rows).toMatchObject([{ labels: { pod: 'cart-0' }, metadata: { pod_uid: 'u', tag: 't' }, line: 'x' }])
  expect(rows[0]!.source).toMatch(/^000000000000/)
  expect(decode(relayed([0, 20]), [[0, 20]], {}, { segment: 9, offset: 1 }).rows).toEqual(rows)
  expect(decode(relayed([20, 40]), [[20, 40]]).rows[0]!.source).not.toBe(rows[0]!.source)
})
