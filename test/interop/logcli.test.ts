/** The real logcli against a running aggregator. CI builds it (.ci/logcli); elsewhere it is skipped where there is none in PATH and LOGCLI names none. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAggregator } from '../harness/aggregator.ts'
import { Daemon } from '../harness/daemon.ts'
import { type Pipeline, until } from '../harness/processes.ts'
import { program } from '../harness/programs.ts'

const logcli = program('logcli', 'LOGCLI', 'required')
const run = promisify(execFile)

const patience = 30_000
const count = 250
const now = BigInt(Date.now()) * 1_000_000n
/** Three entries share each time, so that batches end among equal ones. */
const time = (i: number) => now - 60_000_000_000n + BigInt(Math.floor(i / 3))

describe.skipIf(logcli === undefined)('logcli', { timeout: 60_000 }, () => {
  let aggregator: Pipeline

  async function push(labels: Record<string, string>, values: unknown[]) {
    const response = await fetch(`${aggregator.url}/loki/api/v1/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ streams: [{ stream: labels, values }] }),
    })
    expect(response.status, await response.text()).toBe(204)
  }

  beforeAll(async () => {
    aggregator = await startAggregator()
    const lines = Array.from({ length: count }, (_, i) => [
      String(time(i)),
      `level=info n=${i}`,
      { trace_id: `t${i % 2}` },
    ])
    await push({ app: 'web', pod: 'w1' }, lines)
    await push({ app: 'db', pod: 'd1' }, [[String(now - 1_000_000_000n), 'one line']])
    await until(
      async () => (await ask('series', '{}')).stdout.includes('app="db"'),
      patience,
      () => 'the entries in the store',
    )
  })
  afterAll(() => aggregator?.[Symbol.asyncDispose]())

  const environment = () => ({ ...process.env, LOKI_ADDR: aggregator.url, TZ: 'UTC' })
  const ask = (...args: string[]) => run(logcli!, args, { env: environment(), timeout: 30_000 })
  /** Without what it says about its requests. */
  const printed = async (...args: string[]) => (await ask('--quiet', ...args)).stdout.trim().split('\n')
  const range = [
    '--from',
    new Date(Number(now / 1_000_000n) - 300_000).toISOString(),
    '--to',
    new Date(Number(now / 1_000_000n) + 1000).toISOString(),
  ]

  test.for(['--forward', '--no-forward'])(
    'query in batches gives every entry once, in order (%s)',
    async (direction) => {
      const lines = await printed(
        'query',
        '{app="web"}',
        '--limit',
        '1000',
        '--batch',
        '50',
        direction,
        '-o',
        'raw',
        ...range,
      )
      const numbers = lines.map((line) => Number(line.split('n=')[1]))
      const sorted = (all: number[]) => all.toSorted((a, b) => a - b)
      expect(sorted(numbers)).toEqual(Array.from({ length: count }, (_, i) => i))
      // Among equal times logcli has no order of its own.
      const times = numbers.map((n) => Math.floor(n / 3))
      expect(times).toEqual(direction === '--forward' ? sorted(times) : sorted(times).reverse())
    },
  )

  test('query with filters, structured metadata and statistics', async () => {
    const { stderr, stdout } = await ask(
      'query',
      '{app="web"} |= "n=7" | trace_id="t1"',
      '--stats',
      '-o',
      'jsonl',
      ...range,
    )
    const lines = stdout
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
    expect(lines.map(({ line }) => line).sort()).toEqual(
      ['7', '71', '73', '75', '77', '79'].map((n) => `level=info n=${n}`),
    )
    expect(stderr).toMatch(/Summary\.PostFilterLines\s+[1-9]/)
    expect(stderr).toMatch(/Summary\.TotalLinesProcessed\s+[1-9]/)
  })

  test('metric queries', async () => {
    const instant = JSON.parse(
      (await printed('instant-query', 'sum by (app) (count_over_time({app=~".+"}[5m]))')).join(''),
    )
    expect(instant.map(({ metric, value }: { metric: object; value: unknown[] }) => [metric, value[1]])).toEqual([
      [{ app: 'db' }, '1'],
      [{ app: 'web' }, String(count)],
    ])
    const matrix = JSON.parse(
      (await printed('query', 'sum(rate({app="web"}[1m]))', '--step', '30s', ...range)).join(''),
    )
    expect(matrix[0].values.length).toBeGreaterThan(1)
  })

  test('labels, series', async () => {
    expect(await printed('labels', ...range)).toEqual(['app', 'pod', 'service_name'])
    expect(await printed('labels', 'app', ...range)).toEqual(['db', 'web'])
    expect(await printed('series', '{app="web"}', ...range)).toEqual(['{app="web", pod="w1", service_name="web"}'])
    expect((await printed('series', '{}', '--analyze-labels', ...range)).slice(0, 2)).toEqual([
      'Total Streams:  2',
      'Unique Labels:  3',
    ])
  })

  test('stats, volume, detected fields', async () => {
    expect((await printed('stats', '{app="web"}', ...range)).map((line) => line.trim())).toEqual(
      expect.arrayContaining(['streams: 1', `entries: ${count}`]),
    )
    const volume = JSON.parse((await printed('volume', '{app=~".+"}', ...range)).join(''))
    const bytes = Array.from({ length: count }, (_, i) => `level=info n=${i}`.length).reduce(
      (sum, size) => sum + size,
      0,
    )
    expect(volume.map(({ metric, value }: { metric: object; value: unknown[] }) => [metric, value[1]])).toEqual([
      [{ app: 'web' }, String(bytes)],
      [{ app: 'db' }, '8'],
    ])
    const steps = JSON.parse((await printed('volume_range', '{app="web"}', '--step', '60s', ...range)).join(''))
    expect(steps).toHaveLength(1)
    expect((await printed('detected-fields', '{app="web"}', ...range)).map((line) => line.split(/\s+/)[1])).toEqual([
      'detected_level',
      'level',
      'n',
      'trace_id',
    ])
  })

  test('query --tail shows history, then what comes', async () => {
    await push({ app: 'tailed' }, [[String(now), 'before']])
    const args = ['query', '{app="tailed"}', '--tail', '--quiet', '-o', 'raw', '--addr', aggregator.url]
    await using tail = new Daemon(logcli!, args)
    await until(
      () => tail.output.includes('before\n'),
      patience,
      () => 'the past',
    )
    for (let i = 0; i < 20; i++) {
      await push({ app: 'tailed' }, [[String(BigInt(Date.now()) * 1_000_000n), `live ${i}`]])
      await sleep(1)
    }
    const expected = ['before', ...Array.from({ length: 20 }, (_, i) => `live ${i}`)]
    await until(
      () => tail.output.includes('live 19\n'),
      patience,
      () => 'what came',
    )
    expect(tail.output.trim().split('\n')).toEqual(expected)
  })

  test('what is wrong is told in the words that people know from Loki', async () => {
    await expect(ask('query', '{app=')).rejects.toThrow('parse error at line 1, col 6: syntax error')
    await expect(ask('query', '{app=~".*"}')).rejects.toThrow('queries require at least one regexp or equality matcher')
  })
})
