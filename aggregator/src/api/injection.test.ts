/** Nothing that comes with a request is ever part of a statement's text: hostile words in every place, and every statement that is sent. */
import { randomBytes } from 'node:crypto'
import { chunkOptions } from '@tributary/protocol/chunk.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { EventTime, encode } from '@tributary/protocol/msgpack.ts'
import { writeRecordHead } from '@tributary/protocol/records.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Access } from '../access/access.ts'
import { Credentials } from '../access/credentials.ts'
import { MessageDecoder } from '../load/decode-message.ts'
import { insertBlock, StoreBlock } from '../load/store-block.ts'
import { encodePush } from '../push/push-message.ts'
import { StoreClient } from '../store/client.ts'
import { LogBlock } from '../store/log-block.ts'
import { migrate } from '../store/migrations.ts'
import { openTestStore, quietLog } from '../store/test-store.ts'
import { listen } from './fixture.ts'
import { RecordingProxy } from './recording-proxy.ts'

/** In every hostile word, and nowhere else: where it shows in a statement, the word came through. */
const mark = 'Qz7mark'
const words = [
  `${mark}' OR 1=1 --`,
  `${mark}'); DROP TABLE logs; --`,
  `${mark}\\' UNION SELECT 1 --`,
  `${mark}"}) OR (1=1`,
  `${mark}{p0:String}{tenant:Identifier}`,
  `${mark}%_*?.+[a-z]|^$`,
  `${mark}\n\n; TRUNCATE streams`,
  `${mark}/*\u0000*/`,
  `${mark}\`,line) FORMAT Values ('`,
]

const stack = new AsyncDisposableStack()
let client: StoreClient
let proxy: RecordingProxy
let url: string
beforeAll(async () => {
  const { store } = stack.use(await openTestStore())
  proxy = stack.use(await RecordingProxy.before(store.connection))
  // Rows go through the socket, as to a ClickHouse, where they are seen.
  client = new StoreClient({ ...proxy.connection, spool: undefined })
  stack.defer(() => client.close())
  await migrate(client, quietLog)
  sent()
  url = await listen(stack, { store: client, access: new Access(new Credentials([]), true) })
})
afterAll(() => stack.disposeAsync())

const now = Math.floor(Date.now() / 1000)
const range = { start: String((now - 3600) * 1e9), end: String((now + 3600) * 1e9) }

/** Statements since the last call, numbers of streams aside: the store made them. */
function sent(): readonly { sql: string; parameters: string }[] {
  return proxy.statements.splice(0).map(({ sql, parameters }) => ({
    sql: sql.replace(/sid IN \((?:\d+(?:, )?)+\)/g, 'sid IN (…)'),
    parameters,
  }))
}

async function ask(path: string, parameters: Record<string, string>, tenant = 'fake') {
  const answer = await fetch(`${url}${path}?${new URLSearchParams({ ...range, ...parameters })}`, {
    headers: { 'x-scope-orgid': tenant },
  })
  return { status: answer.status, text: await answer.text() }
}

/** Loads messages as the loader does, in the order given. */
async function load(messages: readonly (readonly [Buffer, string])[]): Promise<void> {
  const decoder = new MessageDecoder({
    ...{ discoverServiceName: true, detectLevel: true, detectTrace: true, maxEntriesBytes: 1 << 20 },
    id: 'here',
  })
  const block = new StoreBlock(new LogBlock(), decoder, async (_, error) => {
    throw error
  })
  for (const [i, [message, tenant]] of messages.entries()) {
    const start = { segment: 1, offset: i }
    await block.add({ message, tenant, accepted: [[0, 1000]], start, end: start, receivedAt: 0 })
  }
  await insertBlock(client, block, randomBytes(8).toString('hex'))
}

function chunkOf(labels: Record<string, string>, metadata: Record<string, string>, line: string): Buffer {
  const out = Buffer.alloc(4096)
  let p = writeRecordHead(out, 0, now, 0, 0, Buffer.byteLength(line), 0, 0, false)
  p += out.write(line, p)
  const header = {
    source: randomBytes(16),
    range: [0, 1000] as const,
    seen: 1000,
    rawBytes: p,
    path: labels['pod']!,
    labels,
    metadata,
  }
  return Buffer.concat(forwardMessage(line, out.subarray(0, p), chunkOptions(header, 1, 'none')))
}

test('what senders bring, whoever they are and in whatever order, is rows and nothing else', async () => {
  const messages = words.flatMap((word, i): [Buffer, string][] => [
    [chunkOf({ app: 'bad', pod: word, [word]: word }, { [word]: word }, `${i} own ${word}`), 'fake'],
    [
      encode([
        word,
        new EventTime(now, i),
        { log: `${i} foreign ${word}`, [word]: word, kubernetes: { pod_name: word } },
      ]),
      'fake',
    ],
    [
      encodePush([
        {
          name: word,
          labels: { app: word },
          entries: [
            { seconds: now, nanoseconds: i, line: Buffer.from(`${i} push ${word}`), metadata: { [word]: word } },
          ],
        },
      ]),
      'fake',
    ],
  ])
  const plain = chunkOf({ app: 'good', pod: 'p' }, {}, 'harmless')
  await load([[plain, 'fake']])
  const expected = sent()
  expect(expected.map(({ sql }) => sql.replace(/\s+/g, ' ').slice(0, 20))).toEqual([
    'INSERT INTO streams ',
    'INSERT INTO logs (te',
  ])
  for (const order of [messages, messages.toReversed()]) {
    await load(order)
    const seen = sent()
    expect(seen.map(({ sql }) => sql)).toEqual(expected.map(({ sql }) => sql))
    expect(seen.every(({ parameters }) => parameters.includes(mark))).toBe(true)
  }
  const counted = await client.query<{ rows: string }>(`SELECT count() AS rows FROM logs`)
  expect(Number(counted.rows[0]!.rows)).toBe(1 + 2 * messages.length)
  sent()
  const { text } = await ask('/loki/api/v1/query_range', { query: '{app=~".+"} or', limit: '1' })
  expect(text).toContain('parse error')
})

const quoted = JSON.stringify
/** A harmless and a hostile word in each place of a request where words may stand. */
const places: {
  place: string
  path: (word: string) => string
  parameters: (word: string) => Record<string, string>
}[] = [
  {
    place: 'the value of a label',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=${quoted(word)}}` }),
  },
  {
    place: 'a value that is not wanted',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~".+", pod!=${quoted(word)}}` }),
  },
  {
    place: 'a regular expression',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~${quoted(escaped(word))}}` }),
  },
  {
    place: 'a regular expression that must not match',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~".+", pod!~${quoted(escaped(word))}}` }),
  },
  {
    place: 'a line filter',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~".+"} |= ${quoted(word)}` }),
  },
  {
    place: 'a line filter by expression',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~".+"} |~ ${quoted(escaped(word))}` }),
  },
  {
    place: 'a label filter',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~".+"} | pod = ${quoted(word)} or x != ${quoted(word)}` }),
  },
  {
    place: 'what is dropped',
    path: () => 'query_range',
    parameters: (word) => ({ query: `{app=~".+"} | drop pod=${quoted(word)}` }),
  },
  {
    place: 'a metric',
    path: () => 'query',
    parameters: (word) => ({
      query: `sum by (pod) (count_over_time({app=~".+", pod!=${quoted(word)}} |= ${quoted(word)} [1h]))`,
    }),
  },
  { place: 'a selector of labels', path: () => 'labels', parameters: (word) => ({ query: `{pod=${quoted(word)}}` }) },
  { place: 'the name of a label', path: (word) => `label/${encodeURIComponent(word)}/values`, parameters: () => ({}) },
  {
    place: 'a selector of values',
    path: () => 'label/pod/values',
    parameters: (word) => ({ query: `{pod=~${quoted(escaped(word))}}` }),
  },
  {
    place: 'a selector of series',
    path: () => 'series',
    parameters: (word) => ({ 'match[]': `{pod=${quoted(word)}}` }),
  },
  {
    place: 'a selector of stats',
    path: () => 'index/stats',
    parameters: (word) => ({ query: `{pod=${quoted(word)}}` }),
  },
  {
    place: 'a selector of volumes',
    path: () => 'index/volume',
    parameters: (word) => ({ query: `{pod=~${quoted(escaped(word))}}` }),
  },
  {
    place: 'the labels of volumes',
    path: () => 'index/volume_range',
    parameters: (word) => ({ query: '{app=~".+"}', targetLabels: `pod,${word}`, step: '3600' }),
  },
  {
    place: 'a selector of labels there are',
    path: () => 'detected_labels',
    parameters: (word) => ({ query: `{pod=${quoted(word)}}` }),
  },
  {
    place: 'a query of fields there are',
    path: () => 'detected_fields',
    parameters: (word) => ({ query: `{app=~".+"} |= ${quoted(word)}` }),
  },
  {
    place: 'the name of a field',
    path: (word) => `detected_field/${encodeURIComponent(word)}/values`,
    parameters: () => ({ query: '{app=~".+"}' }),
  },
  {
    place: 'stages behind the store',
    path: () => 'query_range',
    parameters: (word) => ({
      query: `{app=~".+"} | json | line_format ${quoted(`{{.x}}${word.replaceAll('{', '')}`)} | x != ${quoted(word)} |= ${quoted(word)}`,
    }),
  },
  {
    place: 'a filter behind a parser',
    path: () => 'query',
    parameters: (word) => ({ query: `sum by (x) (rate({app=~".+"} | logfmt | x=~${quoted(escaped(word))} [1h]))` }),
  },
  {
    place: 'the direction',
    path: () => 'query_range',
    parameters: (word) => ({ query: '{app=~".+"}', direction: word }),
  },
  { place: 'the limit', path: () => 'query_range', parameters: (word) => ({ query: '{app=~".+"}', limit: word }) },
  {
    place: 'the times',
    path: () => 'query_range',
    parameters: (word) => ({ query: '{app=~".+"}', start: word, end: word, step: word }),
  },
  {
    place: 'a parameter nobody knows',
    path: () => 'query_range',
    parameters: (word) => ({ query: '{app=~".+"}', [word]: word }),
  },
]

function escaped(word: string): string {
  return word.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
}

test.for(places)('$place is a bound parameter', { timeout: 60_000 }, async ({ path, parameters }) => {
  const statements = async (word: string) => {
    sent()
    const { status } = await ask(`/loki/api/v1/${path(word)}`, parameters(word))
    expect([200, 400, 404]).toContain(status)
    return sent()
  }
  const seen = new Set<string>()
  for (const word of ['harmless', 'harm.ess', ...words]) {
    for (const { sql } of await statements(word)) {
      expect(sql).not.toContain(mark)
      seen.add(sql)
    }
  }
  // One text for what is asked, a few more where the plan depends on what was found: never one for each word.
  expect(seen.size).toBeLessThan(6)
})

test('tenants are bound parameters, and those that can be none never get so far', async () => {
  sent()
  const statuses = new Map<string, number>()
  for (const tenant of [
    `${mark}'OR(1=1)`,
    `${mark}'|${mark})--`,
    `${mark}!*`,
    ...words.map((word) => word.replace(/[^ -~]/g, ' ')),
  ])
    statuses.set(tenant, (await ask('/loki/api/v1/labels', {}, tenant)).status)
  const statements = sent()
  for (const { sql } of statements) expect(sql).not.toContain(mark)
  expect([...statuses.values()].filter((status) => status === 400).length).toBeGreaterThan(5)
  // Quotes and brackets may stand in a tenant's name.
  expect(statuses.get(`${mark}!*`)).toBe(200)
  expect(statements.some(({ parameters }) => parameters.includes(mark))).toBe(true)
})

test('afterwards everything is where it was', async () => {
  const { rows } = await client.query<{ name: string }>('SHOW TABLES')
  expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(['expired', 'logs', 'streams']))
  const hostile = words[0]!
  const { text } = await ask('/loki/api/v1/query_range', {
    query: `{app="bad", pod=${quoted(hostile)}}`,
    limit: '5000',
  })
  const { data } = JSON.parse(text) as {
    data: { result: { stream: Record<string, string>; values: [string, string][] }[] }
  }
  expect(data.result.flatMap(({ values }) => values.map(([, line]) => line))).toEqual([
    `0 own ${hostile}`,
    `0 own ${hostile}`,
  ])
  expect(data.result[0]!.stream).toMatchObject({ pod: hostile, [hostile]: hostile })
})
