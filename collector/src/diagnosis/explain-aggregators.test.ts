import { expect, test } from 'vitest'
import type { AggregatorState } from '../forward/aggregators.ts'
import { explainAggregators, explainRoute } from './explain-aggregators.ts'
import type { AggregatorSnapshot, CollectorSnapshot, RouteSnapshot } from './snapshot.ts'

const one = (state: AggregatorState, changes: Partial<AggregatorSnapshot> = {}): AggregatorSnapshot => ({
  ...{
    address: `10.0.0.1:${state}`,
    from: 'agg:24224',
    state,
    listed: state !== 'leaving',
    connected: state !== 'away',
  },
  ...{ waiting: 0, window: 32, silentFor: 5000, ...changes },
})

const collector = (changes: Partial<CollectorSnapshot>): CollectorSnapshot => ({
  ...{
    ready: true,
    aggregators: [],
    unresolved: [],
    inFlightBytes: 0,
    inFlightLimit: 1,
    openFiles: 0,
    openFilesLimit: 1,
  },
  ...{ flushInterval: 0, partialTimeout: 0, ...changes },
})

const trouble = { address: 'agg:24224', reason: 'queryA ENOTFOUND agg', known: 0 }

test.for([
  { what: 'all do well', of: { aggregators: [one('in_use'), one('standby'), one('leaving')] }, told: [] },
  {
    what: 'the only one is away',
    of: { aggregators: [one('away')] },
    told: ['problem: not connected to the aggregator 10.0.0.1:away (5 s since its last answer): trying again for ever'],
  },
  {
    what: 'the only one can not be reached',
    of: { aggregators: [one('away', { failure: 'certificate has expired' })] },
    told: [
      'problem: not connected to the aggregator 10.0.0.1:away (5 s since its last answer): certificate has expired; trying again for ever',
    ],
  },
  {
    what: 'one of several is away with messages',
    of: { aggregators: [one('in_use'), one('away', { waiting: 3 })] },
    told: [
      'notice: not connected to the aggregator 10.0.0.1:away (5 s since its last answer): trying again for ever; others take its share; 3 messages wait for it',
    ],
  },
  {
    what: 'one that left is silent',
    of: { aggregators: [one('in_use'), one('suspect', { listed: false })] },
    told: [
      'notice: the aggregator 10.0.0.1:suspect, which is not among the addresses any more, owes an answer for longer than ever before',
    ],
  },
  {
    what: 'one is refused',
    of: { aggregators: [one('in_use'), one('refused')], refusal: 'b is not sent to, only a' },
    told: ['problem: b is not sent to, only a'],
  },
  {
    what: 'the name does not resolve, and never did',
    of: { unresolved: [trouble] },
    told: [
      'problem: the name in agg:24224 does not resolve (queryA ENOTFOUND agg): no address of it is known; trying again for ever',
    ],
  },
  {
    what: 'the name does not resolve any more',
    of: { aggregators: [one('in_use')], unresolved: [{ ...trouble, known: 2 }] },
    told: [
      'notice: the name in agg:24224 does not resolve (queryA ENOTFOUND agg): the 2 addresses it had are kept; trying again for ever',
    ],
  },
])('$what: $told', ({ of, told }) => {
  expect(explainAggregators(collector(of)).map(({ level, text }) => `${level}: ${text}`)).toEqual(told)
})

const route: RouteSnapshot = { address: 'a:1', why: 'only', chunks: 2, others: 3, next: 'b:1' }
test.for([
  ['only', 'it is sent to a:1: it is the only one in use'],
  ['hash', 'it is sent to a:1: by its hash, of 3 in use'],
  ['in_flight', 'it is sent to a:1: 2 of its chunks wait there; when they are acknowledged it goes to b:1'],
  ['none_usable', 'it is sent to a:1: none answers at the moment'],
] as const)('%s: %s', ([why, text]) => {
  expect(explainRoute({ ...route, why })).toEqual([{ level: 'fine', code: 'route', text }])
  expect(explainRoute(undefined)).toEqual([])
})
