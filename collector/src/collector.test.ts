import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { truncatedFlag } from '@tributary/protocol/records.ts'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink, type SinkOptions } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

let root: string
let logs: string
let sink: Sink
const running: RunningCollector[] = []

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-collector-'))
  logs = join(root, 'containers')
  mkdirSync(logs)
})

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.close()))
  await sink?.[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

async function openSink(options: SinkOptions = {}): Promise<void> {
  sink = await Sink.listen({ keep: true, ...options })
}

async function start(
  overrides: Record<string, unknown> = {},
  aggregator: Record<string, unknown> = {},
): Promise<RunningCollector> {
  const config = collectorConfig.parse({
    node: 'n1',
    stateDir: join(root, 'state'),
    aggregator: { address: sink.address, ...aggregator },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    checkpoints: { interval: '20ms' },
    ...overrides,
    logs: { path: logs, scanInterval: '50ms', flushInterval: '20ms', ...(overrides['logs'] as object) },
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  running.push(collector)
  return collector
}

async function until(what: () => boolean, message: () => string = () => 'never came true'): Promise<void> {
  for (const end = Date.now() + 15_000; !what(); await sleep(10)) if (Date.now() > end) throw new Error(message())
}

const untilLines = (n: number) =>
  until(
    () => sink.lines().length >= n,
    () => `${sink.lines().length} of ${n} lines`,
  )

/** A container directory as the kubelet makes it, linked from the log directory. Returns the path of the log. */
function container(name: string, restart = 0): string {
  const directory = join(root, 'pods', `shop_${name}_uid-${name}`, 'main')
  mkdirSync(directory, { recursive: true })
  const log = join(directory, `${restart}.log`)
  symlinkSync(log, join(logs, `${name}_shop_main-${String(restart).padStart(64, 'a')}.log`))
  return log
}

let clock = Date.UTC(2026, 10, 23) * 1000
const cri = (line: string, tag = 'F', stream = 'stdout') => {
  const at = new Date(clock++ / 1000).toISOString().replace('Z', `${String(clock % 1000).padStart(3, '0')}000Z`)
  return `${at} ${stream} ${tag} ${line}\n`
}
const numbered = (from: number, to: number, prefix = '') =>
  Array.from({ length: to - from }, (_, i) => `${prefix}${from + i}`)
const write = (path: string, lines: string[]) => appendFileSync(path, lines.map((line) => cri(line)).join(''))

test('lines of containers arrive once, in order, with the identity of their pod', async () => {
  await openSink()
  const log = container('cart')
  write(log, numbered(0, 5))
  await start()
  await untilLines(5)
  write(log, numbered(5, 10))
  await untilLines(10)
  expect(sink.lines()).toEqual(numbered(0, 10))
  const [source] = sink.sources.values()
  expect(source!.header.labels).toEqual({
    cluster: 'default',
    node: 'n1',
    namespace: 'shop',
    pod: 'cart',
    container: 'main',
  })
  expect(source!.header.metadata).toEqual({ pod_uid: 'uid-cart', container_id: '0'.padStart(64, 'a') })
  const starts = [...readFileSync(log, 'latin1').matchAll(/^./gm)].map(({ index }) => index)
  expect(source!.records.map(({ offset }) => offset)).toEqual(starts)
})

test('parts of 16 KiB, as runtimes make them, are taken apart whatever the longest record is', async () => {
  await openSink()
  const text = numbered(0, 6000).join('').slice(0, 20_000)
  writeFileSync(
    container('cart'),
    `${cri(text.slice(0, 16_384), 'P', 'stderr')}${cri(text.slice(16_384), 'F', 'stderr')}${cri('next')}`,
  )
  const docker = (log: string) => `${JSON.stringify({ log, stream: 'stderr', time: '2026-11-23T00:00:00Z' })}\n`
  // Each byte of it is six in the file.
  writeFileSync(join(logs, 'web.log'), `${docker('\u0001'.repeat(16_384))}${docker('end\n')}`)
  await start({ logs: { maxLineBytes: '1KiB' } })
  await untilLines(21 + 17)
  const [cart, web] = [...sink.sources.values()].map(({ records }) => records).sort((a, b) => b.length - a.length)
  const long = cart!.filter(({ stream }) => stream === 1)
  expect(long.map(({ line }) => line).join('')).toBe(text)
  expect(cart!.filter(({ stream }) => stream === 0)).toMatchObject([{ line: 'next', flags: 0 }])
  expect(web!.map(({ line }) => line).join('')).toBe(`${'\u0001'.repeat(16_384)}end`)
  for (const { line, flags } of [...long, ...web!]) {
    expect(line.length).toBeLessThanOrEqual(1024)
    expect(flags).toBe(truncatedFlag)
  }
})

test('generations renamed and compressed as the kubelet does are read to their end, in order, over restarts of the collector', async () => {
  await openSink()
  const log = container('cart')
  let next = 0
  for (let generation = 0; generation < 8; generation++) {
    const collector = await start()
    write(log, numbered(next, (next += 50)))
    if (generation % 2 === 0) await untilLines(next)
    write(log, numbered(next, (next += 50)))
    renameSync(log, `${log}.20261123-00000${generation}`)
    write(log, numbered(next, (next += 10)))
    if (generation > 1) {
      const old = `${log}.20261123-00000${generation - 2}`
      writeFileSync(`${old}.gz.tmp`, gzipSync(readFileSync(old)))
      renameSync(`${old}.gz.tmp`, `${old}.gz`)
      unlinkSync(old)
    }
    await collector.close()
    running.splice(0)
  }
  await start()
  await untilLines(next)
  await sleep(200)
  expect(sink.lines().sort((a, b) => Number(a) - Number(b))).toEqual(numbered(0, next))
  for (const { records } of sink.sources.values()) {
    expect(records.map(({ line }) => Number(line))).toEqual(
      records.map(({ line }) => Number(line)).sort((a, b) => a - b),
    )
  }
})

test('without its checkpoints the collector goes on where the ledger says', async () => {
  await openSink()
  const log = container('cart')
  write(log, numbered(0, 100))
  await (await start()).close()
  running.splice(0)
  await start()
  await untilLines(100)
  await running.splice(0)[0]!.close()
  rmSync(join(root, 'state'), { recursive: true })
  write(log, numbered(100, 110))
  const again = await start()
  await untilLines(110)
  expect(sink.lines()).toEqual(numbered(0, 110))
  expect(
    (await again.metrics.registry.getSingleMetric('collector_skipped_bytes_total')!.get()).values[0]!.value,
  ).toBeGreaterThan(0)
})

test('lost chunks, lost acks and cut connections lose and double nothing', async () => {
  const faults = ['drop', 'mute', 'reset', undefined, undefined] as const
  const met = new Set<string | undefined>()
  const fault = (n: number) => {
    const one = n < 40 ? faults[n % faults.length] : undefined
    met.add(one)
    return one
  }
  await openSink({ fault })
  const log = container('cart')
  await start({}, { ackTimeout: '200ms' })
  let written = 0
  while (written < 200 || faults.some((one) => !met.has(one))) {
    write(log, numbered(written, written + 10))
    written += 10
    await sleep(30)
  }
  await untilLines(written)
  expect(sink.lines()).toEqual(numbered(0, written))
})

/** What each generation of a plain log begins with. */
const header = '=== started ===\n'

/** A plain log, of which its first lines were read. */
async function startedLog(): Promise<string> {
  const log = join(logs, 'app.log')
  writeFileSync(log, `${header}${numbered(0, 20, 'a').join('\n')}\n`)
  await start()
  await untilLines(21)
  return log
}

test.for([300, 60, 0])(
  'copytruncate, each %i ms: what the copy holds is read from it, also for plain text whose generations begin alike',
  async (pause) => {
    await openSink()
    const log = await startedLog()
    for (const generation of ['b', 'c', 'd']) {
      appendFileSync(log, `${numbered(0, 20, `${generation}-unread-`).join('\n')}\n`)
      for (let n = 3; n > 0; n--) if (existsSync(`${log}.${n}`)) renameSync(`${log}.${n}`, `${log}.${n + 1}`)
      copyFileSync(log, `${log}.1`)
      truncateSync(log)
      appendFileSync(log, `${header}${numbered(0, 20, generation).join('\n')}\n`)
      await sleep(pause)
    }
    await untilLines(21 + 3 * 41)
    await sleep(300)
    expect(sink.lines().length).toBe(21 + 3 * 41)
    expect(new Set(sink.lines()).size).toBe(1 + 20 + 3 * 40)
    expect([...sink.sources.values()].flatMap(({ outcomes }) => outcomes)).toEqual([])
  },
)

test('copytruncate, twice before the next look: each copy is read as what it is, though all begin alike', async () => {
  await openSink()
  const log = await startedLog()
  await running.splice(0)[0]!.close()
  for (const generation of ['b', 'c']) {
    if (existsSync(`${log}.1`)) renameSync(`${log}.1`, `${log}.2`)
    copyFileSync(log, `${log}.1`)
    truncateSync(log)
    appendFileSync(log, `${header}${numbered(0, 20, generation).join('\n')}\n`)
  }
  await start()
  await untilLines(3 * 21)
  expect(sink.lines().toSorted()).toEqual(
    ['a', 'b', 'c'].flatMap((one) => [header.trimEnd(), ...numbered(0, 20, one)]).toSorted(),
  )
})

test('a truncation without a copy loses exactly the bytes that were seen and not read', async () => {
  await openSink()
  const log = join(logs, 'app.log')
  writeFileSync(log, 'first\nsecond\n')
  await start({ logs: { path: logs, scanInterval: '50ms', flushInterval: '400ms' } })
  await untilLines(2)
  appendFileSync(log, 'never read\n')
  await sleep(200)
  writeFileSync(log, 'anew\n')
  await untilLines(3)
  expect(sink.lines()).toEqual(['first', 'second', 'anew'])
  await until(() => [...sink.sources.values()].some(({ outcomes }) => outcomes.length > 0))
  expect([...sink.sources.values()].flatMap(({ outcomes }) => outcomes)).toEqual([
    { range: [13, 24], outcome: 'lost:truncated' },
  ])
})

test('deleted files stay readable while they are held open, up to the budget; what exceeds it is lost by byte range', async () => {
  await openSink()
  const log = container('cart')
  const keep = container('quiet')
  write(keep, ['kept'])
  write(log, numbered(0, 10))
  const collector = await start({ limits: { unlinkedBytes: '2KiB', inFlightBytes: '1', spoolBytes: '0' } })
  await untilLines(11)
  const address = sink.address
  const before = new Map([...sink.sources].map(([key, source]) => [key, { ...source }]))
  await sink[Symbol.asyncDispose]()
  await sleep(100)
  // The first chunk without an aggregator fills the budget; nothing behind it is read.
  write(log, numbered(10, 20))
  await sleep(300)
  const sizes: number[] = []
  for (let generation = 0; generation < 4; generation++) {
    write(log, numbered(1000 * generation, 1000 * generation + 20))
    await sleep(250)
    renameSync(log, `${log}.20261123-00000${generation}`)
    await sleep(250)
    sizes.push(readFileSync(`${log}.20261123-00000${generation}`).length)
    unlinkSync(`${log}.20261123-00000${generation}`)
    writeFileSync(log, '')
    await sleep(250)
  }
  sink = await Sink.listen({ keep: true }, Number(address.split(':')[1]))
  for (const [key, source] of before) sink.sources.set(key, source)
  await until(() => [...sink.sources.values()].some(({ outcomes }) => outcomes.length > 0))
  await until(() => sink.lines().includes('3019'))
  await sleep(300)
  for (const { accepted, header, records, outcomes } of sink.sources.values()) {
    expect(accepted, 'every byte is accounted for').toEqual([[0, header.seen]])
    for (const { range, outcome } of outcomes) {
      expect(outcome).toBe('lost:shed')
      for (const { offset } of records) expect(offset >= range[0] && offset < range[1]).toBe(false)
    }
  }
  const metric = await collector.metrics.registry.getSingleMetric('collector_lost_bytes_total')!.get()
  const lost = [...sink.sources.values()]
    .flatMap(({ outcomes }) => outcomes)
    .reduce((sum, { range }) => sum + range[1] - range[0], 0)
  expect(metric.values.reduce((sum, { value }) => sum + value, 0)).toBe(lost)
  expect(lost).toBeGreaterThan(0)
})

test.for([
  { beside: 'nothing', exclude: [] },
  { beside: 'a log that is excluded', exclude: [{ pod: 'hidden*' }] },
])(
  'a file deleted while the collector was down is lost from the checkpoint to the size it was seen to have, beside $beside',
  async ({ exclude }) => {
    await openSink()
    const log = container('cart')
    write(log, numbered(0, 10))
    await start({ logs: { path: logs, scanInterval: '50ms', flushInterval: '500ms' } })
    await untilLines(10)
    const read = readFileSync(log).length
    write(log, numbered(10, 20))
    await sleep(300)
    await running.splice(0)[0]!.close()
    const seen = readFileSync(log).length
    rmSync(join(root, 'pods'), { recursive: true })
    if (exclude.length > 0) write(container('hidden'), numbered(0, 10))
    await start({ logs: { exclude } })
    await until(() => [...sink.sources.values()].some(({ outcomes }) => outcomes.length > 0))
    expect([...sink.sources.values()].flatMap(({ outcomes }) => outcomes)).toEqual([
      { range: [read, seen], outcome: 'lost:deleted' },
    ])
  },
)

test('startAt end leaves out what was there at the first start, and says so; later files are read whole', async () => {
  await openSink()
  const log = container('cart')
  write(log, numbered(0, 10))
  appendFileSync(log, cri('half').slice(0, -3))
  const size = readFileSync(log).lastIndexOf(10) + 1
  await start({ logs: { path: logs, startAt: 'end', scanInterval: '50ms', flushInterval: '20ms' } })
  await until(() => sink.sources.size === 1)
  appendFileSync(log, `lf\n`)
  await untilLines(1)
  expect(sink.lines()).toEqual(['half'])
  expect([...sink.sources.values()][0]!.outcomes).toEqual([{ range: [0, size], outcome: 'filtered:start_at' }])
})

test('a beginning whose end does not come is sent after the time-out, and the other stream is not kept waiting longer', async () => {
  await openSink()
  const log = container('cart')
  appendFileSync(log, cri('before') + cri('half', 'P') + cri('other', 'F', 'stderr'))
  await start({ logs: { path: logs, scanInterval: '50ms', flushInterval: '20ms', partialTimeout: '300ms' } })
  await untilLines(3)
  expect([...sink.sources.values()][0]!.records.map(({ line, flags }) => [line, flags])).toEqual([
    ['before', 0],
    ['other', 0],
    ['half', 1],
  ])
  appendFileSync(log, cri('rest', 'F'))
  await untilLines(4)
})

test('stack traces of both streams, of which one may always go on, are sent all the same while more come', async () => {
  await openSink()
  const log = container('cart')
  await start({ logs: { partialTimeout: '300ms' }, multiline: { timeout: '250ms' } })
  let written = 0
  const writing = setInterval(() => {
    const [trace, frame] = [written >> 1, written++ % 2 === 1]
    const line = frame ? '\tat a.B.c(B.java:1)' : `java.lang.Error: ${trace}`
    appendFileSync(log, cri(line, 'F', trace % 2 === 0 ? 'stdout' : 'stderr'))
  }, 35)
  try {
    await untilLines(40)
    expect(written).toBeLessThan(160)
  } finally {
    clearInterval(writing)
  }
  // The last of them, of which only the first line may be there, is left for later each time.
  const whole = Array.from({ length: 40 }, (_, trace) => `java.lang.Error: ${trace}\n\tat a.B.c(B.java:1)`)
  expect(sink.lines()).toEqual(expect.arrayContaining(whole))
})

test('traces of both streams that overlap through all of a file between two rotations stay whole', async () => {
  await openSink()
  const log = container('cart')
  const trace = (n: number) =>
    ['java.lang.Error: ', '\tat a.B.c(B.java:'].map((text) => cri(`${text}${n}`, 'F', n % 2 ? 'stdout' : 'stderr'))
  const lines = [0, 1, 2, 3, 4].flatMap(trace)
  const files = [lines.slice(0, 1), lines.slice(1, 7), lines.slice(7)]
  for (const [i, name] of [`${log}.20261123-000000`, `${log}.20261123-000001`, log].entries())
    writeFileSync(name, files[i]!.join(''))
  await start()
  await untilLines(5)
  expect(sink.lines().sort()).toEqual([0, 1, 2, 3, 4].map((n) => `java.lang.Error: ${n}\n\tat a.B.c(B.java:${n}`))
})

test('a beginning that a rotation cut off from its end is joined with it, however short the time-outs', async () => {
  await openSink()
  const log = container('cart')
  appendFileSync(log, cri('before') + cri('half ', 'P'))
  await start({ logs: { partialTimeout: '100ms' }, multiline: { timeout: '50ms' } })
  await until(() => sink.lines().length > 0)
  renameSync(log, `${log}.20261123-000000`)
  appendFileSync(log, cri('whole') + cri('after'))
  await untilLines(3)
  expect(sink.lines().sort()).toEqual(['after', 'before', 'half whole'])
})

test('a file that took the place of one with the same content, deleted meanwhile, is read on', async () => {
  await openSink()
  const log = container('cart')
  write(log, numbered(0, 3))
  await start()
  await untilLines(3)
  copyFileSync(log, `${log}.new`)
  appendFileSync(`${log}.new`, cri('3'))
  renameSync(`${log}.new`, log)
  await untilLines(4)
  write(log, numbered(4, 6))
  await untilLines(6)
  expect(sink.lines()).toEqual(numbered(0, 6))
})

test('a file that a link led to until the collector was stopped is read on, and what rotation made of it', {
  timeout: 40_000,
}, async () => {
  await openSink()
  const add = (name: string, lines: string[]) => {
    write(join(root, name), lines)
    appendFileSync(join(root, `${name}.txt`), lines.map((line) => `${line}\n`).join(''))
  }
  const lead = (name: string) => {
    for (const suffix of ['', '.txt']) {
      symlinkSync(join(root, `${name}${suffix}`), join(logs, 'new'))
      renameSync(join(logs, 'new'), join(logs, `current${suffix}.log`))
    }
  }
  const stop = () => running.pop()!.close()
  add('app-1', numbered(0, 3))
  lead('app-1')
  await start()
  await untilLines(2 * 3)
  await stop()
  add('app-1', numbered(3, 5))
  for (const suffix of ['', '.txt']) renameSync(join(root, `app-1${suffix}`), join(root, `app-1${suffix}.1`))
  add('app-1', numbered(5, 8))
  add('app-2', numbered(8, 10))
  lead('app-2')
  await start()
  await untilLines(2 * 10)
  await stop()
  add('app-1', numbered(10, 12))
  await start()
  await untilLines(2 * 12)
  expect(sink.lines().sort()).toEqual([...numbered(0, 12), ...numbered(0, 12)].sort())
})

test('what can not be read is counted by reason and disturbs nothing', async () => {
  await openSink()
  mkdirSync(join(logs, 'directory.log'))
  symlinkSync(join(root, 'nowhere'), join(logs, 'dangling.log'))
  writeFileSync(join(logs, 'empty.log'), '')
  writeFileSync(join(logs, 'garbage.log'), Buffer.from([0, 255, 254, 10, 0, 0, 10]))
  writeFileSync(join(logs, 'half.log'), 'whole\nhalf')
  writeFileSync(join(logs, 'long.log'), `${'x'.repeat(3_000_000)}\nafter\n`)
  writeFileSync(join(logs, 'app.log.1.gz'), 'not gzip at all')
  writeFileSync(join(logs, 'app.log'), 'good\n')
  const collector = await start()
  await until(
    () => ['good', 'after', 'whole'].every((line) => sink.lines().includes(line)),
    () =>
      sink
        .lines()
        .map((line) => line.slice(0, 20))
        .join('|'),
  )
  const long = [...sink.sources.values()].find(({ header }) => header.path.endsWith('long.log'))!
  expect(
    long.records
      .slice(0, -1)
      .map(({ line }) => line)
      .join(''),
  ).toBe('x'.repeat(3_000_000))
  expect(long.records.slice(0, -1).every(({ flags, line }) => flags === 1 && line.length <= 256 * 1024)).toBe(true)
  const problems = (await collector.metrics.registry.getSingleMetric('collector_input_problems_total')!.get()).values
  expect(Object.fromEntries(problems.map(({ labels, value }) => [labels['reason'], value]))).toEqual({
    directory: 1,
    dangling_link: 1,
    corrupt_gzip: 1,
  })
  const health = await fetch(`http://127.0.0.1:${collector.httpPort}/healthz`)
  expect([health.status, await health.text()]).toEqual([200, 'ok\n'])
})

test('with the shared key and format of a plain Fluentd the records are what its users expect', async () => {
  await openSink()
  write(container('cart'), ['hello'])
  await start({ forward: { format: 'fluentd', compression: 'gzip' } })
  await until(() => sink.records === 1)
})

test.for(['http', 'input'])(
  'a collector whose %s port is taken tells no aggregator anything, and leaves nothing behind',
  async (which) => {
    await openSink()
    const log = container('cart')
    write(log, numbered(0, 5))
    const input = { forward: { enabled: true, port: 0 } }
    const first = await start({ input })
    await untilLines(5)
    const state = () =>
      readdirSync(join(root, 'state'), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => [name, readFileSync(join(root, 'state', name), 'utf8')])
    const checkpoints = join(root, 'state', 'checkpoints')
    const saved = `"offset":${statSync(log).size}`
    await until(() => existsSync(checkpoints) && readFileSync(checkpoints, 'utf8').includes(saved))
    const openLogs = () =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === log
        } catch {
          return false // closed meanwhile
        }
      }).length
    const before = { accepted: sink.accepted, queries: sink.queries, state: state(), openLogs: openLogs() }
    expect(before.openLogs).toBe(1)
    const taken =
      which === 'http'
        ? { http: { listen: '127.0.0.1', port: first.httpPort } }
        : { input: { forward: { ...input.forward, listen: '127.0.0.1', port: first.inputPort } } }
    await expect(start({ ...taken, stateDir: join(root, 'other') })).rejects.toThrow(
      /^(http\.port|input\.forward): 127\.0\.0\.1:\d+ is in use/,
    )
    await sleep(300)
    expect({
      accepted: sink.accepted,
      queries: sink.queries,
      state: state(),
      openLogs: openLogs(),
    }).toEqual(before)
    write(log, numbered(5, 10))
    await untilLines(10)
    expect([sink.lines(), sink.duplicates]).toEqual([numbered(0, 10), 0])
  },
)
