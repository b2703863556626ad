import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiClient, ApiError, pageLimit, requestHeaders } from './api-client.ts'

/** Entries that a stand-in for the API answers with, as Loki does: by time, half open, at most `limit`, a page's streams apart. */
let entries: { time: number; stream: string; line: string }[] = []
let server: Server
let client: ApiClient

beforeAll(async () => {
  server = createServer((request, response) => {
    const query = new URL(request.url!, 'http://x').searchParams
    const [start, end, limit] = ['start', 'end', 'limit'].map((name) => Number(query.get(name)))
    const sign = query.get('direction') === 'forward' ? 1 : -1
    const found = entries
      .filter(({ time }) => time >= start! && time < end!)
      .sort((a, b) => sign * (a.time - b.time))
      .slice(0, limit)
    const result = [...new Set(found.map(({ stream }) => stream))].map((stream) => ({
      stream: { stream },
      values: found.filter((one) => one.stream === stream).map(({ time, line }) => [String(time), line]),
    }))
    response.end(JSON.stringify({ status: 'success', data: { resultType: 'streams', result } }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  client = new ApiClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
afterAll(() => server.close())

async function all(limit: number, direction: 'forward' | 'backward') {
  const lines: string[] = []
  for await (const page of client.entries('{a="b"}', { start: 0n, end: 1_000_000_000n }, limit, direction))
    lines.push(...page.map(({ line }) => line))
  return lines
}

test('more lines than one page holds come in one order, each once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 * pageLimit }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 3 * pageLimit }),
      fc.constantFrom('forward' as const, 'backward' as const),
      async (count, perTime, limit, direction) => {
        // Several lines share a time, and times lie on both sides of a page's end.
        entries = Array.from({ length: count }, (_, i) => ({
          time: Math.floor(i / perTime),
          stream: 'one',
          line: String(i),
        }))
        const lines = await all(limit, direction)
        expect(new Set(lines).size).toBe(lines.length)
        expect(lines.length).toBe(Math.min(count, limit))
        const times = lines.map((line) => Math.floor(Number(line) / perTime))
        expect(times).toEqual([...times].sort((a, b) => (direction === 'forward' ? a - b : b - a)))
        if (direction === 'forward') expect(times.at(-1)).toBe(Math.floor((lines.length - 1) / perTime))
      },
    ),
    { numRuns: 25 },
  )
})

test('streams are merged by time', async () => {
  entries = Array.from({ length: 40 }, (_, i) => ({ time: i, stream: String(i % 3), line: String(i) }))
  expect(await all(100, 'forward')).toEqual(entries.map(({ line }) => line))
  expect(await all(5, 'backward')).toEqual(['39', '38', '37', '36', '35'])
})

test('an answer that is no JSON, and no answer, are told apart', async () => {
  const other = createServer((_, response) => response.end('<html>')).listen(0, '127.0.0.1')
  const address = await new Promise<string>((resolve) =>
    other.once('listening', () => resolve(`http://127.0.0.1:${(other.address() as AddressInfo).port}`)),
  )
  await expect(new ApiClient(address).getJson('/x')).rejects.toThrow(/did not answer with JSON/)
  await new Promise((resolve) => other.close(resolve))
  await expect(new ApiClient(address).getJson('/x')).rejects.toThrow(ApiError)
  await expect(new ApiClient(address).getJson('/x')).rejects.toThrow(/is an aggregator running there\?/)
})

test.for([
  [404, '404 page not found', /^http:.*\/why: 404 page not found; is it a collector\? Set another with --addr$/],
  [
    401,
    '/why needs the bearer token of http.token',
    /^\/why needs .* of http\.token; TRIBUTARY_TOKEN, .* tell who asks$/,
  ],
  [400, 'unknown parameter', /^unknown parameter$/],
  [503, '', /^http:.* answered 503$/],
] as const)('a refusal of %i says what to do', async ([status, text, message]) => {
  const other = createServer((_, response) => response.writeHead(status).end(text)).listen(0, '127.0.0.1')
  const address = await new Promise<string>((resolve) =>
    other.once('listening', () => resolve(`http://127.0.0.1:${(other.address() as AddressInfo).port}`)),
  )
  await expect(new ApiClient(address, 'a collector').getJson('/why')).rejects.toThrow(message)
  await new Promise((resolve) => other.close(resolve))
})

test.for([
  { environment: {}, headers: {} },
  { environment: { TRIBUTARY_TOKEN: 't' }, headers: { authorization: 'Bearer t' } },
  {
    environment: { TRIBUTARY_USERNAME: 'u', TRIBUTARY_PASSWORD: 'p:w', TRIBUTARY_TENANT: 'a|b' },
    headers: { authorization: 'Basic dTpwOnc=', 'x-scope-orgid': 'a|b' },
  },
])('the environment $environment sends $headers', ({ environment, headers }) => {
  expect(requestHeaders(environment)).toEqual(headers)
})
