import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type ChunkHeader, chunkOptions, ledgerQueryOptions, type Outcome } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { EventTime, encode } from '@tributary/protocol/msgpack.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { recordOverhead, writeRecordHead } from '@tributary/protocol/records.ts'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningAggregator, startAggregator } from './aggregator.ts'
import type { Audit } from './audit.ts'
import { aggregatorConfig } from './config.ts'
import { TestSender } from './receive/test-sender.ts'

let directory: string
let aggregator: RunningAggregator | undefined
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-aggregator-'))
})
afterEach(async () => {
  await aggregator?.close()
  aggregator = undefined
  rmSync(directory, { recursive: true, force: true })
})

async function start(more = '') {
  const text = `dataDir: ${directory}
forward: {listen: 127.0.0.1, port: 0, maxMessageBytes: 512KiB, bufferBytes: 1MiB}
http: {listen: 127.0.0.1, port: 0}
load: {blockDelay: 50ms}
${more}`
  aggregator = await startAggregator(parseConfig('test', text, aggregatorConfig), { log: pino({ level: 'fatal' }) })
  return aggregator
}

const get = async (path: string) => (await fetch(`http://127.0.0.1:${aggregator!.httpPort}${path}`)).text()
const audit = async () => JSON.parse(await get('/api/v1/audit?wait=20s')) as Audit

/** Every line that a query of a day finds, oldest first, with its labels. */
async function lines(selector: string): Promise<{ line: string; labels: Record<string, string> }[]> {
  const query = new URLSearchParams({ query: selector, start: '0', limit: '5000', direction: 'forward' })
  const text = await get(`/loki/api/v1/query_range?${query}`)
  const { data } = JSON.parse(text) as {
    data: { result: { stream: Record<string, string>; values: [string, string][] }[] }
  }
  return data.result.flatMap(({ stream, values }) => values.map(([, line]) => ({ line, labels: stream })))
}

const now = Math.floor(Date.now() / 1000)
const source = (n: number) => Buffer.alloc(16, n)

/** One record for every ten bytes of a source; its line names source and offset. */
function chunk(n: number, range: ByteRange, outcome?: Outcome): Buffer {
  const out = Buffer.alloc((range[1] - range[0]) * (recordOverhead + 30))
  let p = 0
  let records = 0
  for (let offset = range[0]; outcome === undefined && offset < range[1]; offset += 10, records++) {
    const line = Buffer.from(`level=info ${n}:${offset}`)
    p = writeRecordHead(out, p, now - 60, offset, offset, line.length, 0, 0, false)
    p += line.copy(out, p)
  }
  const labels = { namespace: 'test', pod: `pod-${n}` }
  const header: ChunkHeader = {
    ...{ source: source(n), range, seen: range[1], rawBytes: p, path: `/var/log/${n}.log`, labels },
    metadata: { pod_uid: `uid-${n}` },
    ...(outcome === undefined ? {} : { outcome }),
  }
  const compression = outcome === undefined ? 'zstd' : 'none'
  const entries = outcome === undefined ? compress(out.subarray(0, p), 'zstd') : Buffer.alloc(0)
  return Buffer.concat(forwardMessage('t', entries, chunkOptions(header, records, compression)))
}
const expected = (n: number, [first, end]: ByteRange) =>
  Array.from({ length: (end - first) / 10 }, (_, i) => `level=info ${n}:${first + 10 * i}`)
const sorted = (found: { line: string }[]) =>
  found.map(({ line }) => line).sort((a, b) => Number(a.split(':')[1]) - Number(b.split(':')[1]))

test('chunks become rows once, whatever is repeated, overlaps or is killed', { timeout: 120_000 }, async () => {
  await start()
  let sender = await TestSender.connect(aggregator!.forwardPort)
  await sender.send(chunk(1, [0, 1000]))
  await sender.send(chunk(1, [0, 1000]))
  await sender.send(chunk(1, [500, 2000]))
  process.kill(aggregator!.enginePid!, 'SIGKILL')
  await Promise.all(Array.from({ length: 20 }, (_, i) => sender.send(chunk(2, [i * 100, i * 100 + 100]))))
  await sender.send(chunk(1, [2000, 2500], { kind: 'lost', reason: 'deleted' }))
  const first = await audit()
  expect(first).toMatchObject({ ok: true, caughtUp: true, totals: { records: 400, rowsInStore: 400, lostBytes: 500 } })

  sender.close()
  await aggregator!.close()
  await start()
  sender = await TestSender.connect(aggregator!.forwardPort)
  const query = forwardMessage(
    't',
    Buffer.alloc(0),
    ledgerQueryOptions('q', [
      { source: source(1), keep: 0 },
      { source: source(3), keep: 0 },
    ]),
  )
  const answer = { ack: 'q', ranges: [[[0, 2500]], []], ledger: expect.stringMatching(/^[0-9a-f]{24}$/), shared: false }
  expect(await sender.send(Buffer.concat(query))).toEqual(answer)
  await sender.send(chunk(1, [0, 2000]))
  await sender.send(chunk(2, [1500, 3000]))
  const second = await audit()
  expect(second).toMatchObject({ ok: true, totals: { records: 500, rowsInStore: 500, problems: 0 } })
  expect(sorted(await lines('{pod="pod-1"}'))).toEqual(expected(1, [0, 2000]))
  const found = await lines('{namespace="test", pod="pod-2"}')
  expect(sorted(found)).toEqual(expected(2, [0, 3000]))
  expect(found[0]!.labels).toMatchObject({ service_name: 'unknown_service', stream: 'stdout', pod: 'pod-2' })
  sender.close()
})

test('all four modes of other senders become rows', { timeout: 60_000 }, async () => {
  await start()
  const sender = await TestSender.connect(aggregator!.forwardPort)
  const time = new EventTime(now, 5)
  const entry = (line: string) => [time, { log: line, stream: 'stderr' }]
  const packed = (...all: string[]) => Buffer.concat(all.map((line) => encode(entry(line))))
  const members = Buffer.concat(['g1', 'g2'].map((line) => gzipSync(packed(line))))
  await sender.send(encode(['modes', time, { log: 'message' }, { chunk: 'a' }]))
  await sender.send(encode(['modes', [entry('f1'), [[time, { k: 'v' }], { message: 'f2' }]], { chunk: 'b' }]))
  await sender.send(encode(['modes', packed('p1', 'p2'), { chunk: 'c', size: 2, compressed: 'text' }]))
  await sender.send(encode(['modes', members, { chunk: 'd', compressed: 'gzip' }]))
  await sender.send(encode(['modes', compress(packed('z1'), 'zstd'), { chunk: 'e', compressed: 'zstd' }]))
  await audit()
  const found = await lines('{tag="modes"}')
  expect(found.map(({ line }) => line).sort()).toEqual(['f1', 'f2', 'g1', 'g2', 'message', 'p1', 'p2', 'z1'])
  sender.close()
})

test('what cannot be decoded is set aside and reported as lost, the rest goes on', { timeout: 60_000 }, async () => {
  await start()
  const sender = await TestSender.connect(aggregator!.forwardPort)
  const broken = chunk(1, [0, 1000])
  broken.fill(0xff, 60, 90)
  await sender.send(broken)
  await sender.send(chunk(1, [1000, 2000]))
  const bomb = Buffer.concat(Array.from({ length: 200 }, () => compress(Buffer.alloc(1 << 20), 'zstd')))
  await sender.send(encode(['bomb', bomb, { chunk: 'b' }]))
  // Refused, so it is never answered.
  void sender.send(encode(['t', encode([1, { log: 'x' }]).subarray(0, 4), { chunk: 'c' }])).catch(() => {})
  await sender.send(chunk(2, [0, 100]))
  const result = await audit()
  expect(result).toMatchObject({ ok: true, totals: { records: 110, rowsInStore: 110, lostBytes: 1000 } })
  expect(result.sources[0]!.lost).toEqual([{ reason: 'corrupt', ranges: [[0, 1000]] }])
  expect(readdirSync(join(directory, 'quarantine'))).toHaveLength(2)
  expect(await get('/metrics')).toMatch(/aggregator_load_quarantined_total\{reason="too_large"\} 1/)
  sender.close()
})

test('a second aggregator on the same directory is told who has it', { timeout: 60_000 }, async () => {
  await start()
  const text = `dataDir: ${directory}`
  const log = pino({ level: 'fatal' })
  await expect(startAggregator(parseConfig('test', text, aggregatorConfig), { log })).rejects.toThrow(
    `in use by process ${process.pid}`,
  )
})

test('a full write-ahead log makes senders wait and then goes on', { timeout: 120_000 }, async () => {
  await start('wal: {maxBytes: 1MiB, segmentBytes: 256KiB}')
  const sender = await TestSender.connect(aggregator!.forwardPort)
  const text = 'x'.repeat(100_000)
  const sent = Array.from({ length: 60 }, (_, i) =>
    sender.send(encode(['full', now, { log: `${i} ${text}` }, { chunk: String(i) }])),
  )
  await Promise.all(sent)
  expect((await audit()).caughtUp).toBe(true)
  expect(await lines('{tag="full"}')).toHaveLength(60)
  expect(Number(/aggregator_wal_bytes (\d+)/.exec(await get('/metrics'))![1])).toBeLessThan(2 << 20)
  sender.close()
})

test('health, readiness and start page', { timeout: 60_000 }, async () => {
  writeFileSync(join(directory, 'unrelated'), '')
  await start()
  while ((await get('/ready')) !== 'ready\n') await new Promise((resolve) => setTimeout(resolve, 20))
  expect(await get('/healthz')).toBe('ok\n')
  expect(await get('/')).toContain('ributary')
})

test('one whose store takes connections and never answers ends soon after it is told to', async () => {
  const asked = Promise.withResolvers<void>()
  const silent = createServer((socket) => {
    socket.on('error', () => {}) // as wanted
    socket.once('data', () => asked.resolve())
  }).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const hung = await start(`store: {engine: clickhouse, clickhouse: {url: "http://127.0.0.1:${port}"}}`)
  await asked.promise
  expect(await hung.close()).toBe(0)
  silent.close()
})
