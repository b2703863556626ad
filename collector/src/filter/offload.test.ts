import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeRecordHead } from '@tributary/protocol/records.ts'
import { afterAll, expect, test } from 'vitest'
import { usualPolicy } from '../metadata/log-policy.ts'
import { FilterChain } from './chain.ts'
import { filtersConfig } from './config.ts'
import { CostMeter } from './offload.ts'
import type { FilteredRecords } from './stream-filter.ts'
import type { Tally } from './tally.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-offload-'))
afterAll(() => rmSync(directory, { recursive: true }))

const stream = { labels: { namespace: 'a', pod: 'p' }, metadata: { pod_uid: 'u' } }

function chunk(lines: readonly string[]): Buffer {
  const out = Buffer.alloc(200 * lines.length)
  let at = 0
  for (const [i, line] of lines.entries()) {
    at = writeRecordHead(out, at, 1, 2, i * 10, line.length, 0, 0, false)
    at += out.write(line, at)
  }
  return out.subarray(0, at)
}

async function chainOf(filters: unknown, msPerChunk: () => number) {
  let clock = 0
  const events: string[] = []
  const tallies: Tally[] = []
  const chain = await FilterChain.create({
    config: { filters: filtersConfig.parse(filters), parsers: {} },
    file: join(directory, 'collector.yaml'),
    onTally: (tally) => tallies.push(structuredClone(tally)),
    offload: { onSlow: (mean) => events.push(`slow ${mean}`), onFailed: ({ message }) => events.push(message) },
    cpu: () => (clock += msPerChunk() / 2),
  })
  return { filter: chain.forStream(stream, usualPolicy)!, events, tallies }
}

const filters = [{ redact: { patterns: ['email'] } }, { drop: { where: 'line contains "drop"' } }]
const lines = ['a@b.de', 'drop', 'plain']

test('quick filters work where they are', async () => {
  const { filter, events } = await chainOf(filters, () => 20)
  for (let i = 0; i < 20; i++) expect(filter.apply(chunk(lines), 3, [0, 30])).not.toBeInstanceOf(Promise)
  expect(events).toEqual([])
})

test('one slow chunk is not enough; many give the work to a thread, with the same result', async () => {
  let cost = 150
  const { filter, events, tallies } = await chainOf(filters, () => cost)
  const here = filter.apply(chunk(lines), 3, [0, 30]) as FilteredRecords
  const expected = { ...here, records: Buffer.from(here.records) }
  cost = 1
  for (let i = 0; i < 20; i++) expect(filter.apply(chunk(lines), 3, [0, 30])).not.toBeInstanceOf(Promise)
  cost = 100
  while (!(filter.apply(chunk(lines), 3, [0, 30]) instanceof Promise));
  tallies.length = 0
  const input = chunk(lines)
  const there = filter.apply(input, 3, [0, 30])
  // The bytes may be overwritten once it returned.
  input.fill(0)
  expect(await there).toEqual(expected)
  expect(events).toEqual([expect.stringMatching(/^slow /)])
  expect(tallies.at(-1)!.redactions).toEqual(new Map([['email', 1]]))
  const many = await Promise.all(Array.from({ length: 20 }, () => filter.apply(chunk(lines), 3, [0, 30])))
  for (const one of many) expect(one).toEqual(expected)
})

test('what a thread dies of is done here', async () => {
  const source = `import { isMainThread } from 'node:worker_threads'
export default (record) => { if (!isMainThread) process.exit(3); return record.line === 'drop' ? null : record }`
  writeFileSync(join(directory, 'exit.mjs'), source)
  const { filter, events } = await chainOf([{ module: './exit.mjs' }], () => 100)
  let result = filter.apply(chunk(lines), 3, [0, 30])
  while (!(result instanceof Promise)) result = filter.apply(chunk(lines), 3, [0, 30])
  expect(await result).toMatchObject({ count: 2, leftOut: { dropped: 10 } })
  expect(filter.apply(chunk(lines), 3, [0, 30])).not.toBeInstanceOf(Promise)
  expect(events.at(-1)).toBe('the thread of the filters ended with code 3')
})

test('time is that of this thread on the processor', () => {
  const meter = new CostMeter()
  for (let i = 0; i < 10; i++) meter.measure(() => undefined)
  expect(meter.slow).toBe(false)
  expect(meter.mean).toBeLessThan(20)
})
