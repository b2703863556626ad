/** Twenty logs with far more unread than can be sent, and a quiet one: its lines don't wait for theirs. */
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

const noisyLogs = 20
const noisyBytes = 64 * 1024 * 1024
/** In which a line of the quiet log has to be there, ms. */
const promptMs = 1000

let root: string
let backlog: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-fair-'))
  backlog = join(root, 'backlog')
  const lines = Array.from({ length: 1000 }, (_, i) => line(i, `${i} ${'x'.repeat(i % 300)}`)).join('')
  const file = openSync(backlog, 'w')
  for (let bytes = 0; bytes < noisyBytes; ) bytes += writeSync(file, lines)
  closeSync(file)
})
afterAll(() => rmSync(root, { recursive: true }))

const line = (n: number, text: string) => `2026-11-23T00:00:00.${String(n).padStart(9, '0')}Z stdout F ${text}\n`

function container(logs: string, name: string): string {
  const directory = join(root, 'pods', `shop_${name}_uid-${name}`, 'main')
  mkdirSync(directory, { recursive: true })
  const log = join(directory, '0.log')
  symlinkSync(log, join(logs, `${name}_shop_main-${'0'.repeat(64)}.log`))
  return log
}

test.for([
  ['room for a chunk at a time', '1'],
  ['room for many', '8MiB'],
])('a line of a quiet log is sent promptly while twenty noisy ones are read: %s', async ([, inFlightBytes]) => {
  const logs = mkdtempSync(join(root, 'containers-'))
  for (let i = 0; i < noisyLogs; i++) {
    const log = container(logs, `${inFlightBytes}-noisy-${i}`)
    linkSync(backlog, log)
  }
  const quiet = container(logs, `${inFlightBytes}-quiet`)
  appendFileSync(quiet, line(0, 'first'))
  await using sink = await Sink.listen()
  const config = collectorConfig.parse({
    node: 'n',
    stateDir: join(logs, 'state'),
    logs: { path: logs },
    limits: { inFlightBytes },
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  const sent = () => [...sink.sources.values()].find(({ header }) => header.path === quiet)?.accepted.at(-1)?.[1] ?? 0
  const delays: number[] = []
  for (let n = 0, written = line(0, 'first').length; n < 5; n++) {
    const begun = performance.now()
    while (sent() < written && performance.now() - begun < 4 * promptMs) await sleep(5)
    delays.push(Math.round(performance.now() - begun))
    const next = line(n + 1, `number ${n}`)
    appendFileSync(quiet, next)
    written += next.length
  }
  const unread = noisyLogs * noisyBytes - sink.bytes
  await collector.close()
  // The first waits for the start too.
  expect(Math.max(...delays.slice(1)), `delays ${delays.join(', ')} ms`).toBeLessThan(promptMs)
  expect(unread, 'the noisy logs were being read meanwhile').toBeGreaterThan(noisyBytes)
  expect(sink.sources.size, 'all of them').toBe(noisyLogs + 1)
})
