/** An aggregator that shares its store is told to stop: whoever takes it away learns whether its volume is still needed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '@tributary/aggregator/log.ts'
import { openEmbedded } from '@tributary/aggregator/store/embedded.ts'
import { expect, test } from 'vitest'
import { freePorts, Pipeline, until } from '../harness/processes.ts'
import { StoreProxy } from '../harness/store-proxy.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

const closed = /"behindBytes":(\d+),"msg":"the aggregator is closed"/g

test('told to stop, it empties its write-ahead log; with the store away it says what is left, and loads that when it is back', {
  timeout: 240_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const directory = mkdtempSync(join(tmpdir(), 'tributary-drain-'))
  resources.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  const store = resources.use(
    await openEmbedded({ directory: join(directory, 'store'), memoryBytes: 5e8, log: createLog('fatal') }),
  )
  const { urls, username, password, database } = store.connection
  const [nowhere] = await freePorts(1)
  let isAway = false
  const proxy = resources.use(
    await StoreProxy.listen(
      () => (isAway ? `http://127.0.0.1:${nowhere}` : urls[0]!),
      () => ({ kind: 'none' }),
    ),
  )
  const config = (blockDelay: string, drain: string) => ({
    store: { engine: 'clickhouse', clickhouse: { url: proxy.url, username, password, database } },
    load: { blockDelay },
    shutdown: { drain },
  })
  // Nothing is loaded before it is told to stop.
  const pipeline = resources.use(await Pipeline.start({ aggregator: config('10m', '90s') }))
  const { aggregator } = pipeline
  const change = (...[blockDelay, drain]: Parameters<typeof config>) => {
    const file = join(pipeline.root, 'aggregator.yaml')
    const before = JSON.parse(readFileSync(file, 'utf8')) as object
    writeFileSync(file, JSON.stringify({ ...before, ...config(blockDelay, drain) }))
  }
  const behind = async () => (await pipeline.metric('aggregator_load_behind_bytes')) ?? 0
  const isBehind = () =>
    until(
      async () => (await behind()) > 10_000,
      60_000,
      () => `nothing is on its way:\n${aggregator.output}\n${pipeline.collector.output}`,
    )
  const left = () => Number([...aggregator.output.matchAll(closed)].at(-1)?.[1])
  const seed = chooseSeed()
  await using writer = new Writer(pipeline, {
    ...{ namespace: 'drain', containers: 3, rate: 500, duration: 600_000, rotateBytes: 64 * 1024, partial: 2, seed },
  })

  await isBehind()
  expect(await aggregator.stop('SIGTERM', 120_000), aggregator.output).toBe(0)
  expect(left()).toBe(0)

  change('10m', '1s')
  aggregator.start()
  await pipeline.ready()
  await isBehind()
  isAway = true
  expect(await aggregator.stop('SIGTERM', 120_000), aggregator.output).toBe(3)
  const bytes = left()
  expect(bytes).toBeGreaterThan(10_000)
  expect(aggregator.output).toContain(`"bytes":${bytes},"msg":"bytes of the write-ahead log are not in the store`)

  isAway = false
  change('100ms', '1s')
  aggregator.start()
  await pipeline.ready()
  const { verdicts, audit } = await conclude(pipeline, [await writer.finish()], { name: 'drain', seed }, 120_000)
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
})
