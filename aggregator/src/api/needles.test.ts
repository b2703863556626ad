import { afterAll, beforeAll, expect, test } from 'vitest'
import { containsCondition } from '../logql/needles.ts'
import { Parameters } from '../logql/sql.ts'
import { unknownWord } from '../logql/streams.ts'
import { longestWord } from '../store/longest-word.ts'
import { type Fixture, openFixture } from './fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const second = 1_000_000_000n
const origin = 1_700_006_400n * second
const id = '4bf92f3577b34da6a3ce929d0e0e4736'
const uuid = '550e8400-e29b-41d4-a716-446655440000'

/** An id at every place it can have in a line, and lines that only nearly have it. */
const lines = [
  id,
  `${id} first`,
  `last ${id}`,
  `trace_id=${id} ok`,
  `{"trace_id":"${id}"}`,
  `x${id}`,
  `${id}x`,
  `a ${'z'.repeat(200)}${id}${'z'.repeat(200)} b`,
  `é${id}`,
  `${id}é end`,
  `${id.slice(0, -1)} ${id.slice(1)}`,
  id.toUpperCase(),
  'nothing of the kind',
  uuid,
  `[${uuid}]`,
  `${uuid}0`,
  `0${uuid} x`,
  uuid.replaceAll('-', ''),
  '',
]
const needles = [
  id,
  id.slice(0, 16),
  id.slice(-20),
  `=${id}`,
  `${id} `,
  `"${id}"`,
  uuid,
  uuid.slice(0, 20),
  'z'.repeat(60),
  `é${id}`,
]

test.for(needles)('what contains %j is found, be it a word or a part of one', async (needle) => {
  await expectFound(`n${needles.indexOf(needle)}`, lines, needle)
})

test.for([id, id.slice(0, 16), `${id} `, `"${id}"`, uuid])(
  'what contains %j is found in a stream that has no longer words',
  async (needle) => {
    const longest = Math.max(16, ...needle.split(/[^a-z0-9]/).map((word) => word.length))
    const short = lines.filter((line) => longestWord(Buffer.from(line), 0, Buffer.byteLength(line)) <= longest)
    const shorter = `${needle.slice(0, longest)} ends`
    await expectFound(`s${needles.indexOf(needle)}`, [...short, shorter, needle], needle)
  },
)

test('a word that is longer than the others of its stream is found once it comes', async () => {
  for (const [i, line] of [`a ${id}`, `b x${id}`, `c ${id}x`].entries()) {
    await fixture.insert([row('growing', line, i)])
    expect(await linesOf('growing', '|=', id)).toHaveLength(i + 1)
  }
})

const row = (run: string, line: string, offset: number) => ({
  time: origin + BigInt(offset) * second,
  stream: { app: 'web', run },
  level: '',
  meta: {},
  line,
  source: 'ab'.repeat(16),
  offset,
})

async function linesOf(run: string, filter: string, needle: string): Promise<string[]> {
  const parameters = new URLSearchParams({
    query: `{run="${run}"} ${filter} ${JSON.stringify(needle)}`,
    start: String(origin),
    end: String(origin + 3600n * second),
    direction: 'forward',
  })
  const response = await fetch(`${fixture.url}/loki/api/v1/query_range?${parameters}`)
  expect(response.status).toBe(200)
  const { data } = (await response.json()) as { data: { result: { values: [string, string][] }[] } }
  return data.result.flatMap(({ values }) => values.map(([, line]) => line))
}

async function expectFound(run: string, of: readonly string[], needle: string): Promise<void> {
  await fixture.insert(of.map((line, offset) => row(run, line, offset)))
  const expected = of.filter((line) => line.includes(needle))
  expect(expected.length).toBeGreaterThan(0)
  expect(await linesOf(run, '|=', needle)).toEqual(expected)
  expect(await linesOf(run, '|~', needle)).toEqual(expected)
  const others = of.filter((line) => !line.includes(needle))
  expect(await linesOf(run, '!=', needle)).toEqual(others)
  expect(await linesOf(run, '!~', needle)).toEqual(others)
}

/** Granules of these rows that the store would read. */
async function granules(needle: string, longest = unknownWord): Promise<number> {
  const parameters = new Parameters()
  const { sql, params } = parameters.statement(
    'EXPLAIN indexes = 1',
    `SELECT count() FROM logs WHERE tenant = 'granules' AND ${containsCondition(parameters, needle, longest)}`,
  )
  const { rows } = await fixture.client.query<{ explain: string }>(sql, { ...params })
  const read = rows.flatMap(({ explain }) => /Granules: (\d+)\/\d+/.exec(explain)?.slice(1).map(Number) ?? [])
  return read.at(-1)!
}

test('an id that is in no line is not looked for in lines, unless they have longer words', async () => {
  await fixture.client.command(
    `INSERT INTO logs (tenant, ts, line) SELECT 'granules', fromUnixTimestamp64Nano(toInt64(1700006400000000000 + number), 'UTC'),
      concat('request_id=', lower(hex(sipHash128(number))), ' path=/api', if(number = 20000, repeat('x', 40), '')) FROM numbers(40000)`,
  )
  expect(await granules('request')).toBe(5)
  expect(await granules(id)).toBe(1)
  expect(await granules(id, 33)).toBe(1)
  expect(await granules(id, 32)).toBe(0)
  expect(await granules(`path=/api ${id}`)).toBe(1)
  expect(await granules('0123456789abcdef')).toBe(5)
  expect(await granules(uuid)).toBe(0)
})
