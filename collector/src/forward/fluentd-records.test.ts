import { decodeMulti } from '@msgpack/msgpack'
import { encodeAttributes, recordOverhead, stderr, stdout, writeRecordHead } from '@tributary/protocol/records.ts'
import { expect, test } from 'vitest'
import { encodeSurroundings, FluentdEncoder } from './fluentd-records.ts'

function chunkOf(records: { seconds: number; nanoseconds: number; stream: 0 | 1; line: string }[]): Buffer {
  return Buffer.concat(
    records.map(({ seconds, nanoseconds, stream, line }, i) => {
      const out = Buffer.alloc(line.length + recordOverhead)
      const at = writeRecordHead(out, 0, seconds, nanoseconds, i, line.length, stream, 0, false)
      return out.subarray(0, at + out.write(line, at, 'latin1'))
    }),
  )
}

const surroundings = encodeSurroundings({
  labels: { cluster: 'c', node: 'n1', namespace: 'shop', pod: 'cart-1', container: 'api' },
  metadata: { pod_uid: 'u-1', container_id: 'abc' },
})

test('records have what Fluentd users know: log, stream, time, kubernetes', () => {
  const seconds = Date.UTC(2026, 10, 23, 14) / 1000
  const records = new FluentdEncoder().encode(
    chunkOf([
      { seconds, nanoseconds: 123456789, stream: stdout, line: 'one' },
      { seconds: seconds + 1, nanoseconds: 7, stream: stderr, line: 'x'.repeat(70_000) },
    ]),
    surroundings,
  )
  const kubernetes = {
    namespace_name: 'shop',
    pod_name: 'cart-1',
    container_name: 'api',
    host: 'n1',
    pod_id: 'u-1',
    docker_id: 'abc',
  }
  const decoded = [...decodeMulti(records)] as [{ type: number; data: Uint8Array }, object][]
  expect(decoded.map(([, record]) => record)).toEqual([
    { stream: 'stdout', kubernetes, time: '2026-11-23T14:00:00.123456789Z', log: 'one' },
    { stream: 'stderr', kubernetes, time: '2026-11-23T14:00:01.000000007Z', log: 'x'.repeat(70_000) },
  ])
  expect(Buffer.from(decoded[0]![0].data).readUInt32BE(4)).toBe(123456789)
})

test('many short records grow the output as needed', () => {
  const many = Array.from(
    { length: 5000 },
    (_, i) => ({ seconds: 1, nanoseconds: i, stream: stdout, line: '' }) as const,
  )
  expect([...decodeMulti(new FluentdEncoder().encode(chunkOf(many), surroundings))]).toHaveLength(5000)
})

test('attributes are a map of their own', () => {
  const out = Buffer.alloc(500)
  const attributes = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`time${i}`, 'x']))
  const at = writeRecordHead(out, 0, 1, 0, 0, 3, stdout, 0, false, encodeAttributes(attributes), 20)
  const records = new FluentdEncoder().encode(out.subarray(0, at + out.write('one', at)), surroundings)
  const [[, record]] = [...decodeMulti(records)] as [[unknown, Record<string, unknown>]]
  expect(record).toMatchObject({ stream: 'stdout', log: 'one', attributes, time: '1970-01-01T00:00:01.000000000Z' })
})

test('records with and without attributes, of both streams and of one second, keep to their own', () => {
  const out = Buffer.alloc(2000)
  const [one, none] = [encodeAttributes({ a: 'x' }), encodeAttributes({})]
  const written = [0, 1, 2, 3, 4, 5].map((i) => ({
    stream: i % 2 === 0 ? stdout : (stderr as typeof stdout | typeof stderr),
    count: i % 3 === 0 ? 1 : 0,
    log: 'l'.repeat(i),
  }))
  let at = 0
  for (const [i, { stream, count, log }] of written.entries()) {
    at = writeRecordHead(out, at, 0, i, i, log.length, stream, 0, false, count === 1 ? one : none, count)
    at += out.write(log, at)
  }
  const records = new FluentdEncoder().encode(out.subarray(0, at), surroundings)
  const decoded = [...decodeMulti(records)] as [unknown, Record<string, unknown>][]
  expect(decoded.map(([, { kubernetes: _, ...record }]) => record)).toEqual(
    written.map(({ stream, count, log }, i) => ({
      stream: stream === stdout ? 'stdout' : 'stderr',
      time: `1970-01-01T00:00:00.00000000${i}Z`,
      ...(count === 1 ? { attributes: { a: 'x' } } : {}),
      log,
    })),
  )
})
