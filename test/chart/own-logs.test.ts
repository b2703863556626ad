/** Our own pods' logs: warnings and errors, and of these only so many, or lines about lines would never end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runGolden } from 'tributary/golden.ts'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { find, objectsOf, render, type Tree } from './render.ts'
import { chartTools } from './tools.ts'

const tools = chartTools()
let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-own-logs-'))
  vi.stubEnv('NODE_NAME', 'node-7')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

const line = (level: number) =>
  `{"level":${level},"time":"2025-11-24T16:00:00.000Z","name":"collector","msg":"level ${level}"}`
const own = { namespace: 'logging', pod: 'logs-tributary-collector-x7k2p', container: 'collector' }
const crash = 'Error: Cannot find module'
const kept = (text: string) => ({ line: text })

describe.skipIf(tools === undefined)('lines of our own pods', () => {
  /** What `tributary test` says of the cases with the configuration that helm renders. */
  async function golden(collector: Tree, cases: readonly Tree[]): Promise<string[]> {
    const objects = await objectsOf(render(tools!.helm, { collector, forward: { tls: { enabled: false } } }))
    const config = find(objects, 'ConfigMap', 'logs-tributary-collector').data['collector.yaml']!
    writeFileSync(join(directory, 'collector.yaml'), config)
    writeFileSync(join(directory, 'cases.yaml'), JSON.stringify({ config: './collector.yaml', cases }))
    const said: string[] = []
    await runGolden([join(directory, 'cases.yaml')], (text) => said.push(text))
    return said
  }

  test('warnings, errors and crashes are kept, what is below is not, and other pods are left alone', async () => {
    const others = [
      { ...own, namespace: 'shop' },
      { ...own, pod: 'grafana-0' },
      { ...own, pod: 'logs-tributary-test', container: 'verify' },
    ]
    const said = await golden({}, [
      { ...own, name: 'info', input: line(30), expect: 'dropped' },
      { ...own, name: 'debug', input: line(20), expect: 'dropped' },
      { ...own, name: 'of an aggregator', pod: 'logs-tributary-aggregator-0', input: line(30), expect: 'dropped' },
      { ...own, name: 'warn', input: line(40), expect: kept(line(40)) },
      { ...own, name: 'error', input: line(50), expect: kept(line(50)) },
      { ...own, name: 'fatal', input: line(60), expect: kept(line(60)) },
      { ...own, name: 'crash', stream: 'stderr', input: crash, expect: kept(crash) },
      ...others.map((pod, i) => ({ ...pod, name: `other ${i}`, input: line(30), expect: kept(line(30)) })),
    ])
    expect(said).toEqual(['10 passed'])
  })

  test('of warnings only so many come through, beside filters of the values', async () => {
    const collector = { ownLogs: { burst: 3 }, config: { filters: [{ redact: { patterns: ['email'] } }] } }
    const said = await golden(collector, [
      {
        ...own,
        name: 'a storm',
        input: Array.from({ length: 5 }, () => line(50)),
        expect: [kept(line(50)), kept(line(50)), kept(line(50)), 'dropped', 'dropped'],
      },
      { name: 'a secret', input: 'mail to a@b.de', expect: kept('mail to [redacted:email]') },
    ])
    expect(said).toEqual(['2 passed'])
  })

  test.for([
    { keep: 'all', expected: kept(line(30)) },
    { keep: 'none', expected: 'dropped' },
  ])('ownLogs.keep: $keep', async ({ keep, expected }) => {
    const errors = keep === 'all' ? kept(line(50)) : 'dropped'
    const said = await golden({ ownLogs: { keep } }, [
      { ...own, name: 'info', input: line(30), expect: expected },
      { ...own, name: 'error', input: line(50), expect: errors },
    ])
    expect(said).toEqual(['2 passed'])
  })
})
