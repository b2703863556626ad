/** Live tail over WebSocket, on a running aggregator: history, the seam, what is live, and clients that are too slow. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { type RunningAggregator, startAggregator } from '../aggregator.ts'
import { aggregatorConfig } from '../config.ts'

interface Running extends AsyncDisposable {
  readonly aggregator: RunningAggregator
}

async function start(tail = ''): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-tail-'))
  const text = `dataDir: ${directory}
forward: {listen: 127.0.0.1, port: 0}
http: {listen: 127.0.0.1, port: 0}
load: {blockDelay: 200ms}
tail: {${tail}}`
  const aggregator = await startAggregator(parseConfig('test', text, aggregatorConfig), {
    log: pino({ level: 'fatal' }),
  })
  const ready = async () => {
    const { status } = await fetch(`http://127.0.0.1:${aggregator.httpPort}/ready`)
    if (status !== 200) throw new Error(`not ready: ${status}`)
  }
  await vi.waitFor(ready, { timeout: 30_000 })
  current = aggregator
  return {
    aggregator,
    async [Symbol.asyncDispose]() {
      await aggregator.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

let shared: Running
/** The one that is asked. */
let current: RunningAggregator
beforeAll(async () => {
  shared = await start()
})
beforeEach(() => {
  current = shared.aggregator
})
afterAll(() => shared?.[Symbol.asyncDispose]())

const url = () => `http://127.0.0.1:${current.httpPort}`

/** Each time is later than the one before, a moment ago. */
let lastTime = BigInt(Date.now() - 60_000) * 1_000_000n
const nextTime = () => String(++lastTime)

async function push(app: string, lines: readonly (string | [time: string, line: string])[], labels: object = {}) {
  const values = lines.map((line) => (typeof line === 'string' ? [nextTime(), line] : line))
  const response = await fetch(`${url()}/loki/api/v1/push`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ streams: [{ stream: { app, ...labels }, values }] }),
  })
  expect(response.status, await response.text()).toBe(204)
}

interface Frame {
  readonly streams: { stream: Record<string, string>; values: [string, string, object?][] }[]
  readonly dropped_entries?: { labels: Record<string, string>; timestamp: string }[]
  readonly encodingFlags?: string[]
}

class Client {
  readonly socket: WebSocket
  readonly frames: Frame[] = []
  readonly closed: Promise<{ code: number; reason: string }>

  constructor(parameters: Record<string, string>, headers: Record<string, string> = {}) {
    const address = `${url().replace('http', 'ws')}/loki/api/v1/tail?${new URLSearchParams(parameters)}`
    this.socket = new WebSocket(address, { headers })
    this.socket.on('message', (data) => this.frames.push(JSON.parse(String(data))))
    this.socket.on('error', () => {})
    this.closed = new Promise((resolve) =>
      this.socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
    )
  }

  async open(): Promise<this> {
    await new Promise((resolve, reject) => this.socket.once('open', resolve).once('error', reject))
    return this
  }

  get lines(): string[] {
    return this.frames.flatMap(({ streams }) => streams.flatMap(({ values }) => values.map(([, line]) => line)))
  }

  get dropped(): string[] {
    return this.frames.flatMap(({ dropped_entries: dropped = [] }) => dropped.map(({ timestamp }) => timestamp))
  }

  async close(): Promise<void> {
    this.socket.close()
    await this.closed
  }
}

test('history comes first, its newest entries oldest first, then what is live', async () => {
  await push('web', ['one', 'two', 'three'])
  await push('other', ['not this'])
  const client = await new Client({ query: '{app="web"}', limit: '2' }).open()
  await expect.poll(() => client.lines).toEqual(['two', 'three'])
  await push('other', ['nor this'])
  await push('web', ['four'])
  await push('web', ['five', 'six'])
  await expect.poll(() => client.lines).toEqual(['two', 'three', 'four', 'five', 'six'])
  expect(client.frames[0]).toEqual({
    streams: [
      {
        stream: { app: 'web', detected_level: 'unknown', service_name: 'web' },
        values: [
          [expect.any(String), 'two'],
          [String(lastTime - 5n), 'three'],
        ],
      },
    ],
  })
  await client.close()
})

test('the pipeline is applied to what is live as to history', async () => {
  const lines = [
    'level=warn took=10ms status=200',
    'level=info took=10ms',
    'level=error took=1s status=500',
    'level=debug',
  ]
  await push('api', lines, { env: 'prod' })
  const query = '{app=~"a.i", env!="dev"} |= "took" | detected_level!="info" | drop service_name'
  const client = await new Client({ query }, { 'x-loki-response-encoding-flags': 'categorize-labels' }).open()
  await expect.poll(() => client.lines).toHaveLength(2)
  await push('api', lines, { env: 'prod' })
  await push('api', lines, { env: 'dev' })
  await expect.poll(() => client.lines).toEqual([lines[0], lines[2], lines[0], lines[2]])
  const values = client.frames.map(({ streams }) =>
    streams.map(({ stream, values }) => ({ stream, told: values.map(([, , told]) => told) })),
  )
  const half = [
    {
      stream: { app: 'api', env: 'prod' },
      told: [{ structuredMetadata: { detected_level: 'warn' } }, { structuredMetadata: { detected_level: 'error' } }],
    },
  ]
  expect(values).toEqual([half, half])
  expect(client.frames.map(({ encodingFlags }) => encodingFlags)).toEqual([
    ['categorize-labels'],
    ['categorize-labels'],
  ])
  await client.close()
})

test('nothing is told twice or left out at the seam, whatever is on its way when a tail begins', {
  timeout: 60_000,
}, async () => {
  let sent = 0
  let stop = false
  const pushing = (async () => {
    while (!stop)
      await push(
        'seam',
        Array.from({ length: 50 }, () => `n=${sent++}`),
      )
  })()
  const clients: Client[] = []
  for (let i = 0; i < 8; i++) {
    const before = sent
    await expect.poll(() => sent).toBeGreaterThan(before + 100)
    clients.push(await new Client({ query: '{app="seam"}', limit: '300' }).open())
  }
  await expect.poll(() => clients.every(({ lines }) => lines.length > 400), { timeout: 30_000 }).toBe(true)
  stop = true
  await pushing
  const last = `n=${sent - 1}`
  for (const client of clients) {
    await expect.poll(() => client.lines.at(-1)).toBe(last)
    expect(client.dropped).toEqual([])
    const numbers = client.lines.map((line) => Number(line.slice(2)))
    const first = numbers[0]!
    const breaks = numbers.flatMap((n, i) => (i === 0 || n === numbers[i - 1]! + 1 ? [] : [[numbers[i - 1], n]]))
    expect(breaks, `of ${numbers.length} from ${first}`).toEqual([])
    expect(numbers.at(-1)).toBe(sent - 1)
    await client.close()
  }
})

test('a client that does not read loses entries and is told each of them; memory stays bounded', {
  timeout: 60_000,
}, async () => {
  await using _ = await start('queueEntries: 500')
  const client = await new Client({ query: '{app="fast"}' }).open()
  await push('fast', ['begin'])
  await expect.poll(() => client.lines).toEqual(['begin'])
  client.socket.pause()
  const first = lastTime + 1n
  // More than the sockets' buffers hold.
  const filler = 'x'.repeat(10_000)
  for (let i = 0; i < 60; i++)
    await push(
      'fast',
      Array.from({ length: 50 }, (_, k) => `${i * 50 + k} ${filler}`),
    )
  const metric = async (name: string) =>
    Number(new RegExp(`^${name} (.*)$`, 'm').exec(await (await fetch(`${url()}/metrics`)).text())?.[1])
  await push('slow', ['another stream is not disturbed'])
  client.socket.resume()
  await expect.poll(() => client.lines.length + client.dropped.length, { timeout: 30_000 }).toBe(3001)
  expect(client.dropped.length).toBeGreaterThan(500)
  expect(await metric('aggregator_tail_dropped_records_total')).toBe(client.dropped.length)
  // Together they are everything, each once.
  const shown = client.lines.slice(1).map((line) => first + BigInt(line.split(' ')[0]!))
  const all = [...shown, ...client.dropped.map(BigInt)].sort((a, b) => (a < b ? -1 : 1))
  expect(all).toEqual(Array.from({ length: 3000 }, (_, i) => first + BigInt(i)))
  await push('fast', ['and on it goes'])
  await expect.poll(() => client.lines.at(-1)).toBe('and on it goes')
  await client.close()
})

test('what is durable is shown within moments', async () => {
  const client = await new Client({ query: '{app="quick"}' }).open()
  await push('quick', ['0'])
  await expect.poll(() => client.lines.length).toBe(1)
  const delays: number[] = []
  for (let i = 1; i <= 20; i++) {
    const began = performance.now()
    await push('quick', [String(i)])
    await expect.poll(() => client.lines.length, { interval: 2 }).toBe(i + 1)
    delays.push(performance.now() - began)
  }
  delays.sort((a, b) => a - b)
  expect(delays[10], `from push to client, ms: ${delays.map(Math.round)}`).toBeLessThan(300)
  await client.close()
})

test('delay_for waits for what comes late, and puts it in order', async () => {
  const client = await new Client({ query: '{app="late"}', delay_for: '4' }).open()
  await push('late', ['begin'])
  await expect.poll(() => client.lines).toEqual(['begin'])
  const pushLate = async () => {
    const times = [3, 1, 2].map((n) => String(lastTime + BigInt(n)))
    lastTime += 10n
    for (const time of times) await push('late', [[time, time]])
    return times.sort()
  }
  // On a machine so busy that they come further apart than they are waited for, they are tried again.
  for (let attempt = 1; ; attempt++) {
    const times = await pushLate()
    await expect.poll(() => client.lines.slice(-3).sort(), { timeout: 20_000 }).toEqual(times)
    if (String(client.lines.slice(-3)) === String(times)) break
    expect(attempt, 'attempts, in none of which it waited').toBeLessThan(4)
  }
  await client.close()
})

test.for([
  [{ query: 'rate({a="b"}[1m])' }, /^only log selector is supported$/],
  [{ query: '{a="b"' }, 'parse error at line 1, col 7'],
  [{ query: '{a=~".*"}' }, 'queries require at least one'],
  [{ query: '{a="b"}', delay_for: '6' }, "delay_for can't be greater than 5"],
  [{ query: '{a="b"}', delay_for: 'x' }, 'strconv.Atoi: parsing "x": invalid syntax'],
  [{ query: '{a="b"}', limit: '0' }, 'limit must be a positive value'],
  [{ query: '{a="b"}', limit: '5001' }, 'max entries limit per query exceeded'],
  [
    { query: '{a="b"}', start: 'noon' },
    `could not parse 'start' parameter: strconv.ParseInt: parsing "noon": invalid syntax`,
  ],
] as const)('%j is refused before the upgrade, in plain text', async ([parameters, message]) => {
  const { socket } = new Client(parameters)
  const [status, type, text] = await new Promise<unknown[]>((resolve) =>
    socket.on('unexpected-response', async (_, response) => {
      let body = ''
      for await (const piece of response) body += piece
      resolve([response.statusCode, response.headers['content-type'], body])
    }),
  )
  const wanted = typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message)
  expect([status, type, text]).toEqual([400, 'text/plain; charset=utf-8', wanted])
})

test('a request that is for no WebSocket is told so, and other upgrades are ignored', async () => {
  const response = await fetch(`${url()}/loki/api/v1/tail?query={a="b"}`)
  expect([response.status, await response.text()]).toEqual([
    400,
    expect.stringContaining('not using the websocket protocol'),
  ])
  const { request } = await import('node:http')
  const status = await new Promise((resolve) =>
    request(`${url()}/ready`, { headers: { connection: 'Upgrade', upgrade: 'h2c' } }, (r) =>
      resolve(r.resume().statusCode),
    ).end(),
  )
  expect(status).toBe(200)
})

test('a handshake that fails leaves its tail to others, and nobody keeps a connection by not closing it', async () => {
  await using own = await start('maxTails: 1')
  const ask = async (query: string, version: string): Promise<string> => {
    const socket = connect({ host: '127.0.0.1', port: own.aggregator.httpPort, allowHalfOpen: true })
    socket.write(
      `GET /loki/api/v1/tail?query=${encodeURIComponent(query)} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: ${version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
    let text = ''
    for await (const data of socket) text += data
    halfOpen.push(socket)
    return text
  }
  const halfOpen: Socket[] = []
  expect(await ask('{app="web"}', '7')).toContain('Missing or invalid Sec-WebSocket-Version header')
  expect(await ask('{app="web"}', '7')).toContain('Missing or invalid Sec-WebSocket-Version header')
  expect(await ask('{', '13')).toContain('parse error')
  await (await new Client({ query: '{app="web"}' }).open()).close()
  // A socket that the other side still has takes what is written to it; one that is gone there says so.
  for (const socket of halfOpen) {
    const gone = new Promise((resolve) => socket.once('error', resolve))
    socket.write('x')
    setTimeout(() => socket.write('x'), 50)
    expect(await gone).toMatchObject({ code: expect.stringMatching(/EPIPE|ECONNRESET/) })
  }
})

test('there are only so many tails, none lasts for ever, and a stop ends them', async () => {
  await using own = await start('maxTails: 2, maxDuration: 2s')
  const query = '{app="many"}'
  const clients = [await new Client({ query }).open(), await new Client({ query }).open()]
  await expect(new Client({ query }).open()).rejects.toThrow('400')
  await clients[0]!.close()
  await expect
    .poll(() =>
      new Client({ query }).open().then(
        (c) => c.close().then(() => true),
        () => false,
      ),
    )
    .toBe(true)
  expect(await clients[1]!.closed).toEqual({ code: 1011, reason: 'reached tail max duration limit' })
  const last = await new Client({ query }).open()
  await own.aggregator.close()
  expect(await last.closed).toEqual({ code: 1001, reason: 'the aggregator stops' })
})
