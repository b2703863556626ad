import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCollector } from '@tributary/collector/collector.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { formatEvent, runTap } from './tap.ts'

test('shows what each filter does to the lines of a pod, without their secrets', async () => {
  const root = mkdtempSync(join(tmpdir(), 'tributary-tap-'))
  const directory = join(root, 'pods', 'shop_cart_uid-1', 'main')
  mkdirSync(directory, { recursive: true })
  const log = join(directory, '0.log')
  writeFileSync(log, '')
  await using sink = await Sink.listen({ keep: true })
  const config = collectorConfig.parse({
    stateDir: join(root, 'state'),
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    logs: { path: join(root, 'containers'), scanInterval: '50ms', flushInterval: '20ms' },
    multiline: { timeout: '20ms' },
    filters: [{ name: 'no noise', drop: { where: 'line contains "noise"' } }, { redact: { patterns: ['email'] } }],
  })
  mkdirSync(join(root, 'containers'))
  symlinkSync(log, join(root, 'containers', `cart_shop_main-${'a'.repeat(64)}.log`))
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  const stop = new AbortController()
  const printed: string[] = []
  const addr = `http://127.0.0.1:${collector.httpPort}`
  const tap = runTap('shop/cart', { addr, output: 'text' }, (row) => printed.push(row), stop.signal)
  for (let i = 0; printed.length < 20; i++) {
    appendFileSync(
      log,
      `2026-01-01T00:00:00.${100 + i}Z stdout F mail a@b.de\n2026-01-01T00:00:00.${100 + i}Z stdout F noise a@b.de\n`,
    )
    await sleep(50)
    expect(i).toBeLessThan(200)
  }
  stop.abort()
  await tap
  await collector.close()
  rmSync(root, { recursive: true, force: true })
  const from = printed.findIndex((row) => row.includes('mail')) - 1
  expect(printed.slice(from, from + 10)).toEqual([
    expect.stringMatching(/^00:00:00\.\d{3} main stdout at \d+$/),
    '      mail [redacted:email]',
    '    no noise',
    '  ~ filters.1.redact',
    '      mail [redacted:email]',
    '  > sent',
    '      mail [redacted:email]',
    expect.stringMatching(/^00:00:00\.\d{3} main stdout at \d+$/),
    '      noise [redacted:email]',
    '  x no noise',
  ])
  expect(printed.join('\n')).not.toContain('a@b.de')
})

test('a record in text: attributes in braces, and how many were not shown', () => {
  const shown = { line: 'a\nb', attributes: { level: 'info' } }
  const trace = {
    stream: 'stderr',
    time: 0,
    offset: 7,
    before: { line: 'a\nb', attributes: {} },
    stages: [],
    after: shown,
  } as const
  expect(formatEvent({ stream: { labels: {}, metadata: {} }, trace, skipped: 3 })).toEqual([
    '… 3 records not shown: they come too fast',
    '00:00:00.000  stderr at 7',
    '      a',
    '      b',
    '  > sent as it is',
  ])
})
