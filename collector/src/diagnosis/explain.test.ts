import { expect, test } from 'vitest'
import { usualPolicy } from '../metadata/log-policy.ts'
import { explain, summarize } from './explain.ts'
import type { CollectorSnapshot, LogSnapshot, Snapshot, SourceSnapshot } from './snapshot.ts'

const address = 'aggregator:24224'
const collector: CollectorSnapshot = {
  ready: true,
  aggregators: [
    { address, from: address, state: 'in_use', listed: true, connected: true, waiting: 0, window: 32, silentFor: 100 },
  ],
  unresolved: [],
  inFlightBytes: 0,
  inFlightLimit: 8 << 20,
  openFiles: 1,
  openFilesLimit: 100,
  flushInterval: 250,
  partialTimeout: 10_000,
}
const read: SourceSnapshot = {
  source: 'ab'.repeat(16),
  path: '/pods/0.log',
  state: 'reading',
  size: 1000,
  read: 1000,
  acknowledged: 1000,
  chunksInFlight: 0,
  open: true,
  unlinked: false,
  ended: false,
  lastAckAgo: 500,
  route: { address, why: 'only', chunks: 0, others: 1 },
}
const unread: SourceSnapshot = { ...read, read: 400, acknowledged: 400, unreadFor: 40_000, lastAckAgo: 40_000 }
const log: LogSnapshot = {
  namespace: 'shop',
  pod: 'cart',
  container: 'main',
  path: '/pods',
  names: [{ name: 'cart.log', leadsTo: '/pods/0.log' }],
  metadata: 'off',
  sources: [read],
  gaps: [],
  errors: [],
}
const filter = { namespace: 'shop', pod: 'cart' }
const away = { ...collector, aggregators: [{ ...collector.aggregators[0]!, state: 'away' as const, connected: false }] }
const window = { ...collector, aggregators: [{ ...collector.aggregators[0]!, waiting: 32 }] }

interface Case {
  readonly what: string
  readonly log?: Partial<LogSnapshot>
  readonly source?: Partial<SourceSnapshot>
  readonly collector?: CollectorSnapshot | undefined
  /** Code and level of each finding that isn't fine, and of those that are looked for. */
  readonly found: readonly string[]
}

const codes: readonly Case[] = [
  { what: 'all read and acknowledged', found: [] },
  { what: 'bytes that have just been written', source: { ...unread, unreadFor: 100 }, found: [] },
  { what: 'being read, behind', source: { ...unread, lastAckAgo: 300 }, found: ['notice behind'] },
  { what: 'unread, and nothing is acknowledged', source: unread, found: ['problem behind'] },
  {
    what: 'the aggregator is away',
    source: unread,
    collector: away,
    found: ['problem aggregator_away', 'problem aggregator_away'],
  },
  {
    what: 'all read, the aggregator is away',
    source: { chunksInFlight: 2 },
    collector: away,
    found: ['problem aggregator_away', 'problem aggregator_away'],
  },
  {
    what: 'all read, the aggregator is silent',
    source: { chunksInFlight: 2, lastAckAgo: 50_000 },
    collector: { ...collector, aggregators: [{ ...collector.aggregators[0]!, silentFor: 50_000 }] },
    found: ['problem aggregator_silent'],
  },
  { what: 'on its way, and others are acknowledged', source: { chunksInFlight: 2, lastAckAgo: 50_000 }, found: [] },
  { what: 'the window is full', source: unread, collector: window, found: ['problem window'] },
  {
    what: 'the window is full for a moment',
    source: { ...unread, unreadFor: 2000 },
    collector: window,
    found: ['notice window'],
  },
  {
    what: 'the budget is used up',
    source: unread,
    collector: { ...collector, inFlightBytes: 8 << 20 },
    found: ['notice budget', 'problem budget'],
  },
  {
    what: 'too many files are open',
    source: { ...unread, open: false },
    collector: { ...collector, openFiles: 100 },
    found: ['problem open_files'],
  },
  { what: 'half a line', source: { ...unread, unfinishedFor: 500 }, found: [] },
  { what: 'half a line for long', source: { ...unread, unfinishedFor: 50_000 }, found: ['notice waiting_line'] },
  {
    what: 'the ledger was not asked',
    source: { ...unread, state: 'new', unreadFor: 10 },
    found: ['notice waiting_ledger'],
  },
  { what: 'the ledger does not answer', source: { ...unread, state: 'asking' }, found: ['problem waiting_ledger'] },
  {
    what: 'its pod is not known yet',
    log: { metadata: 'waiting' },
    source: unread,
    found: ['notice metadata_waiting'],
  },
  { what: 'its pod stays unknown', log: { metadata: 'partial' }, found: ['notice metadata_partial'] },
  {
    what: 'excluded',
    log: { excludedBy: 'the annotation tributary.io/exclude' },
    source: unread,
    found: ['notice excluded'],
  },
  {
    what: 'lost bytes',
    log: { gaps: [{ path: '/pods/0.log', kind: 'lost', reason: 'deleted', from: 5, to: 9 }] },
    found: ['problem lost'],
  },
  {
    what: 'filtered bytes',
    log: { gaps: [{ path: '/pods/0.log', kind: 'filtered', reason: 'start_at', from: 5, to: 9 }] },
    found: ['notice filtered'],
  },
  { what: 'an error', log: { errors: [{ path: '/pods/0.log', text: 'EACCES', ago: 900 }] }, found: ['problem error'] },
  {
    what: 'an error that is past',
    log: { errors: [{ path: '/pods/0.log', text: 'EIO', ago: 900_000 }] },
    found: ['notice error'],
  },
  {
    what: 'a link to nowhere',
    log: { names: [{ name: 'cart.log', leadsTo: '/x', problem: 'gone' }], sources: [] },
    found: ['problem name'],
  },
  { what: 'a pod that is gone', log: { names: [] }, found: ['notice no_name'] },
  { what: 'an empty file', log: { sources: [] }, found: ['notice no_files'] },
  {
    what: 'a changed configuration that waits',
    collector: { ...collector, staleConfig: 'forward.window waits' },
    found: ['notice stale_config'],
  },
  { what: 'a checkpoint at the end', collector: undefined, found: [] },
  { what: 'a checkpoint behind', collector: undefined, source: unread, found: ['notice behind'] },
  {
    what: 'a checkpoint without its file, which the spool has',
    collector: undefined,
    source: { ...unread, state: 'gone', spooled: true },
    found: ['notice spooled'],
  },
  {
    what: 'a checkpoint without its file',
    collector: undefined,
    source: { ...unread, state: 'gone' },
    found: ['problem gone'],
  },
]

const snapshotOf = (one: Case): Snapshot => {
  const running = 'collector' in one ? one.collector : collector
  return {
    logsPath: '/logs',
    ...(running ? { collector: running } : {}),
    logs: [{ ...log, ...one.log, sources: one.log?.sources ?? [{ ...read, ...one.source }] }],
  }
}

test.for(codes)('$what: $found', (one) => {
  const answer = explain(snapshotOf(one), filter)
  const all = [
    ...answer.findings,
    ...answer.logs.flatMap(({ findings, sources }) => [...findings, ...sources.flatMap((s) => s.findings)]),
  ]
  expect(all.filter(({ level }) => level !== 'fine').map(({ level, code }) => `${level} ${code}`)).toEqual(one.found)
  expect(answer.ok).toBe(!one.found.some((what) => what.startsWith('problem')))
  for (const { text } of all) expect(text).not.toMatch(/undefined|NaN|\[object/)
})

test('an older generation comes first, and is named as what is waited for', () => {
  const sources = [
    { ...unread, path: '/pods/0.log.1', lastAckAgo: 10 },
    { ...unread, lastAckAgo: 10 },
  ]
  const [answer] = explain({ logsPath: '/logs', collector, logs: [{ ...log, sources }] }, filter).logs
  expect(answer!.sources.map(({ findings }) => findings.at(-1)!.code)).toEqual(['behind', 'waiting_older'])
})

test('what nobody knows is said with what was asked', () => {
  const { ok, findings } = explain({ logsPath: '/logs', collector, logs: [] }, { ...filter, container: 'db' })
  expect(ok).toBe(false)
  expect(findings[0]!.text).toContain('no name in /logs leads to a log of shop/cart/db')
})

test('a policy is said once for both streams, and for each where they differ', () => {
  const [stdout, stderr] = usualPolicy
  const textOf = (policy: LogSnapshot['policy']) =>
    explain(
      { logsPath: '/logs', logs: [{ ...log, policy, policyFrom: 'annotations' } as LogSnapshot] },
      filter,
    ).logs[0]!.findings.find(({ code }) => code === 'policy')!.text
  expect(textOf(usualPolicy)).toBe('its lines: joined (multiline auto), not parsed (from annotations)')
  expect(textOf([stdout, { ...stderr, exclude: true }])).toBe(
    'its lines: stdout joined (multiline auto), not parsed; stderr left out (from annotations)',
  )
  expect(
    textOf([{ ...stdout, parser: 'json', sample: 0.5, rateLimit: { linesPerSecond: 10, burst: 20 } }, stderr]),
  ).toContain('parsed as json, a share of 0.5 kept, at most 10 a second with a burst of 20')
})

test('a summary names the logs with something to say, problems first, and how many more there are', () => {
  const logs = [
    { ...log, pod: 'fine' },
    { ...log, pod: 'behind', sources: [{ ...unread, size: 1e9, lastAckAgo: 10 }] },
    { ...log, pod: 'stuck', sources: [unread] },
    { ...log, pod: 'stuck-more', sources: [{ ...unread, size: 5000 }] },
  ]
  const answer = summarize({ logsPath: '/logs', collector, logs }, 2)
  expect(answer.logs.map((one) => one.log)).toEqual(['shop/stuck-more/main', 'shop/stuck/main'])
  expect(answer).toMatchObject({ ok: false, logsFound: 4 })
  expect(answer.findings.map(({ text }) => text)).toEqual([
    '1 more logs have something to tell; ask for one by its name',
  ])
})
