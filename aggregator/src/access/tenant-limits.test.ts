import { expect, test } from 'vitest'
import { ActiveStreams } from './active-streams.ts'
import { limitsConfig, tenantsConfig } from './config.ts'
import { LimitError } from './limit-error.ts'
import { TenantLimits } from './tenant-limits.ts'
import { TokenBucket } from './token-bucket.ts'

const shown = '{app="x"}'

function limited(text: Record<string, unknown>, overrides: Record<string, unknown> = {}) {
  const clock = { now: 0 }
  const limits = new TenantLimits({
    limits: limitsConfig.parse(text),
    overrides: tenantsConfig.parse({ overrides }).overrides,
    now: () => clock.now,
  })
  return { limits, clock }
}

function refusal(check: () => unknown): LimitError {
  try {
    check()
  } catch (error) {
    expect(error).toBeInstanceOf(LimitError)
    return error as LimitError
  }
  return expect.unreachable() as never
}

test.for([
  {
    check: (limits: TenantLimits) => limits.checkLabels('t', shown, []),
    status: 400,
    message: 'error at least one label pair is required per stream',
  },
  {
    check: (limits: TenantLimits) =>
      limits.checkLabels('t', shown, [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ]),
    status: 400,
    message: `entry for stream '{app="x"}' has 3 label names; limit 2`,
  },
  {
    check: (limits: TenantLimits) => limits.checkLabels('t', shown, [['abcde', '1']]),
    status: 400,
    message: `stream '{app="x"}' has label name too long: 'abcde'`,
  },
  {
    // Bytes count, not characters.
    check: (limits: TenantLimits) => limits.checkLabels('t', shown, [['a', 'ééé']]),
    status: 400,
    message: `stream '{app="x"}' has label value too long: 'ééé'`,
  },
  {
    check: (limits: TenantLimits) => limits.lineBytes('t', shown, 301),
    status: 400,
    message: `max entry size '300' bytes exceeded for stream '{app="x"}' while adding an entry with length '301' bytes`,
  },
  {
    check: (limits: TenantLimits) => limits.checkMetadata('t', shown, [['ab', 'c'.repeat(20)]]),
    status: 400,
    message: `stream '{app="x"}' has structured metadata too large: '22' bytes, limit: '10' bytes. Please see \`limits_config.max_structured_metadata_size\` or contact your Loki administrator to increase it`,
  },
  {
    check: (limits: TenantLimits) =>
      limits.checkMetadata('t', shown, [
        ['a', ''],
        ['b', ''],
      ]),
    status: 400,
    message: `stream '{app="x"}' has too many structured metadata labels: '2', limit: '1'. Please see \`limits_config.max_structured_metadata_entries_count\` or contact your Loki administrator to increase it`,
  },
  {
    check: (limits: TenantLimits) => limits.checkTime('t', shown, 0n, 3_600_000_000_001n),
    status: 400,
    message: `entry for stream '{app="x"}' has timestamp too old: 1970-01-01T00:00:00Z, oldest acceptable timestamp is: 1970-01-01T00:00:00Z`,
  },
  {
    check: (limits: TenantLimits) => limits.checkTime('t', shown, 60_000_000_001n, 0n),
    status: 400,
    message: `entry for stream '{app="x"}' has timestamp too new: 1970-01-01T00:01:00Z`,
  },
  {
    check: (limits: TenantLimits) => limits.checkRate('t', 7, 101),
    status: 429,
    message:
      "Ingestion rate limit exceeded for user t (limit: 10 bytes/sec) while attempting to ingest '7' lines totaling '101' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased",
  },
  {
    check: (limits: TenantLimits) => {
      for (const stream of [1n, 2n, 1n, 3n]) limits.checkStream('t', shown, stream)
    },
    status: 429,
    message: `Maximum active stream limit exceeded when trying to create stream {app="x"}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 't'`,
  },
])('$status $message', ({ check, status, message }) => {
  const { limits } = limited({
    ...{ maxLabelNames: 2, maxLabelNameBytes: 4, maxLabelValueBytes: 5, maxLineBytes: 300, maxMetadataBytes: 10 },
    ...{ maxMetadataPairs: 1, maxAge: '1h', maxFuture: '1m', ingestionBytesPerSecond: 10, ingestionBurstBytes: 100 },
    maxStreams: 2,
  })
  expect(refusal(() => check(limits))).toMatchObject({ statusCode: status, message })
})

test('what lies exactly at a limit passes', () => {
  const { limits } = limited({ maxLabelNames: 1, maxLabelNameBytes: 1, maxLabelValueBytes: 2, maxLineBytes: 300 })
  limits.checkLabels('t', shown, [['a', 'é']])
  expect(limits.lineBytes('t', shown, 300)).toBe(300)
  limits.checkTime('t', shown, 600_000_000_000n, 0n)
})

test('0 is no limit, and lines may be cut instead of refused', () => {
  const { limits } = limited({ maxLabelNames: 0, maxAge: '0', maxStreams: 0, truncateLines: true, maxLineBytes: 300 })
  limits.checkLabels(
    't',
    shown,
    Array.from({ length: 100 }, (_, i) => [`l${i}`, '']),
  )
  limits.checkTime('t', shown, 0n, 1n << 62n)
  for (let i = 0; i < 10; i++) limits.checkStream('t', shown, BigInt(i))
  limits.checkRate('t', 1, 1 << 30)
  expect(limits.delay('t', 1 << 30)).toBe(0)
  expect(limits.lineBytes('t', shown, 5000)).toBe(300)
})

test('a tenant is limited for itself, and otherwise where that is said', () => {
  const { limits } = limited(
    { ingestionBytesPerSecond: 10, ingestionBurstBytes: 100, maxStreams: 1 },
    { big: { ingestionBytesPerSecond: 1000, ingestionBurstBytes: 1000 } },
  )
  limits.checkRate('a', 1, 100)
  refusal(() => limits.checkRate('a', 1, 1))
  limits.checkRate('b', 1, 100)
  limits.checkRate('big', 1, 1000)
  expect(limits.of('big').maxStreams).toBe(1)
  // A name that every object has.
  expect(limits.of('constructor').ingestionBytesPerSecond).toBe(10)
})

test('what arrived is owed, and the wait is as long as the rate needs for it', () => {
  const { limits, clock } = limited({ ingestionBytesPerSecond: 1000, ingestionBurstBytes: 500 })
  expect(limits.delay('t', 500)).toBe(0)
  expect(limits.delay('t', 250)).toBe(250)
  clock.now = 250
  expect(limits.delay('t', 1000)).toBe(1000)
  clock.now = 10_000
  expect(limits.delay('t', 500)).toBe(0)
})

test('a bucket gives no more than burst and rate in any stretch of time', () => {
  const bucket = new TokenBucket(100, 50, 0)
  let taken = 0
  let seed = 1
  for (let now = 0; now <= 10_000; now += 7) {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    const bytes = seed % 20
    if (bucket.take(bytes, now)) taken += bytes
  }
  expect(taken).toBeLessThanOrEqual(50 + 1000)
  expect(taken).toBeGreaterThan(900)
})

test('a stream that was quiet for an hour makes room', () => {
  const streams = new ActiveStreams(0)
  expect(streams.touch(1n, 1, 0)).toBe(true)
  expect(streams.touch(2n, 1, 1_700_000)).toBe(false)
  expect(streams.touch(1n, 1, 1_900_000)).toBe(true)
  expect(streams.touch(2n, 1, 3_500_000)).toBe(false)
  expect(streams.touch(2n, 1, 7_300_000)).toBe(true)
  expect(streams.size).toBe(1)
})

test('names of tenants that nobody uses again do not fill the memory', () => {
  const { limits } = limited({ ingestionBytesPerSecond: 10, ingestionBurstBytes: 100 })
  limits.checkRate('first', 1, 100)
  for (let i = 0; i < 10_000; i++) limits.of(`tenant-${i}`)
  limits.checkRate('first', 1, 100)
})
