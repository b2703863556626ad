import { decodeAttributes, encodeAttributes, RecordScanner, writeRecordHead } from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type LogPolicy, type StreamPolicy, usualPolicy } from '../metadata/log-policy.ts'
import { FilterChain } from './chain.ts'
import { filtersConfig, parsersConfig } from './config.ts'
import type { FilteredRecords } from './stream-filter.ts'
import type { Tally } from './tally.ts'

interface Plain {
  readonly offset: number
  readonly stream: 0 | 1
  readonly line: Buffer
  readonly attributes?: Record<string, string>
}

const labels = { namespace: 'shop', pod: 'api-1', container: 'api' }
const stream = { labels, metadata: { pod_uid: 'uid-1', team: 'blue' } }

function encode(records: readonly Plain[]): Buffer {
  return Buffer.concat(
    records.map(({ offset, stream, line, attributes = {} }) => {
      const encoded = encodeAttributes(attributes)
      const out = Buffer.alloc(200 + encoded.length + line.length)
      const count = Object.keys(attributes).length
      const at = writeRecordHead(out, 0, 1_700_000_000, 5, offset, line.length, stream, 0, true, encoded, count)
      return out.subarray(0, at + line.copy(out, at))
    }),
  )
}

function decode(bytes: Buffer): Plain[] {
  const records: Plain[] = []
  const scanner = new RecordScanner(bytes)
  while (scanner.next()) {
    const { offset, stream, lineStart, lineEnd, attributesStart, attributesEnd } = scanner
    const attributes = decodeAttributes(bytes, attributesStart, attributesEnd)
    records.push({ offset, stream, line: Buffer.from(bytes.subarray(lineStart, lineEnd)), attributes })
  }
  return records
}

const plain = (lines: readonly string[]): Plain[] => {
  let offset = 0
  return lines.map((line) => {
    const record = { offset, stream: 0 as const, line: Buffer.from(line) }
    offset += line.length + 10
    return record
  })
}

function policy(over: Partial<StreamPolicy>, onlyStderr = false): LogPolicy {
  const [stdout, stderr] = usualPolicy
  return [onlyStderr ? stdout : { ...stdout, ...over }, { ...stderr, ...over }]
}

async function chainOf(
  filters: unknown,
  { parsers = {}, now = () => 0 }: { parsers?: unknown; now?: () => number } = {},
) {
  const tallies: Tally[] = []
  const config = { filters: filtersConfig.parse(filters), parsers: parsersConfig.parse(parsers) }
  const chain = await FilterChain.create({
    config,
    file: 'collector.yaml',
    onTally: (tally) => tallies.push(structuredClone(tally)),
    now,
  })
  return { chain, tallies }
}

async function run(filters: unknown, records: readonly Plain[], how: { policy?: LogPolicy; parsers?: unknown } = {}) {
  const { chain, tallies } = await chainOf(filters, how)
  const filter = chain.forStream(stream, how.policy ?? usualPolicy)
  const bytes = encode(records)
  const end = Math.max(0, ...records.map(({ offset, line }) => offset + line.length + 10))
  const result = (await filter?.apply(bytes, records.length, [0, end])) as FilteredRecords
  const kept = decode(result.records)
  expect(kept.length).toBe(result.count)
  return {
    kept,
    lines: kept.map(({ line }) => line.toString()),
    leftOut: result.leftOut,
    metadata: filter!.metadata,
    tallies,
    same: result.records === bytes,
  }
}

test('a filter that can not apply to a log is not made, and one that changes nothing gives back what it got', async () => {
  const { chain } = await chainOf([
    { drop: { where: 'namespace == "dev" and line contains "x"' } },
    { keep: { where: 'team == "blue" or line contains "x"' } },
    { sample: { rate: 0.1, where: 'container =~ "web.*"' } },
  ])
  expect(chain.forStream(stream, usualPolicy)).toBeUndefined()
  const { same, leftOut } = await run([{ drop: { where: 'line contains "nowhere"' } }], plain(['a', 'b']))
  expect(same).toBe(true)
  expect(leftOut).toBeUndefined()
})

test.for([
  ['line contains "b"', ['a', 'c']],
  ['line == "b"', ['a', 'bb', 'c']],
  ['line != "b"', ['b']],
  ['line =~ "b"', ['a', 'c']],
  ['line =~ "^b$"', ['a', 'bb', 'c']],
  ['line !~ "[bc]"', ['b', 'bb', 'c']],
  ['not (line contains "a" or line contains "c")', ['a', 'c']],
  ['line contains "b" and line contains "bb"', ['a', 'b', 'c']],
  ['namespace =~ "sho" or line == "a"', ['b', 'bb', 'c']],
  ['namespace =~ "sho."', []],
  ['stream == "stderr"', ['a', 'b', 'bb', 'c']],
  ['missing == ""', []],
  ['line contains ""', []],
] as const)('drop where %s', async ([where, expected]) => {
  const { chain } = await chainOf([{ drop: { where } }])
  if (chain.forStream(stream, usualPolicy) === undefined) expect(expected).toEqual(['a', 'b', 'bb', 'c'])
  else expect((await run([{ drop: { where } }], plain(['a', 'b', 'bb', 'c']))).lines).toEqual(expected)
})

test('what is left out is counted by reason, in the order of the offsets', async () => {
  // A record of stderr that waited for its end comes behind those that began after it.
  const records: Plain[] = [
    { offset: 0, stream: 0, line: Buffer.from('keep') },
    { offset: 30, stream: 0, line: Buffer.from('drop') },
    { offset: 10, stream: 1, line: Buffer.from('stderr') },
    { offset: 45, stream: 0, line: Buffer.from('drop') },
  ]
  const { kept, leftOut } = await run([{ drop: { where: 'line == "drop"' } }], records, {
    policy: policy({ exclude: true }, true),
  })
  expect(kept.map(({ offset }) => offset)).toEqual([0])
  expect(leftOut).toEqual({ dropped: 15 + (45 + 14 - 45), excluded: 20 })
})

test('the policy comes first: excluded, sampled, limited, parsed', async () => {
  const lines = Array.from({ length: 100 }, (_, i) => `{"i":"${i}"}`)
  const { kept, leftOut, tallies } = await run([{ drop: { where: 'i == "3" or i == "4"' } }], plain(lines), {
    policy: policy({ rateLimit: { linesPerSecond: 1, burst: 5 }, parser: 'json' }),
  })
  expect(kept.map(({ attributes }) => attributes!['i'])).toEqual(['0', '1', '2'])
  expect(Object.keys(leftOut!).sort()).toEqual(['dropped', 'rate'])
  expect(tallies).toEqual([expect.objectContaining({ rateLimited: 95 })])
})

test('a pod has its rate back after a time, and its containers share it', async () => {
  let now = 0
  const { chain } = await chainOf([{ rateLimit: { linesPerSecond: 2, burst: 3 } }], { now: () => now })
  const count = (container: string, uid: string) => {
    const filter = chain.forStream({ labels: { ...labels, container }, metadata: { pod_uid: uid } }, usualPolicy)!
    return (filter.apply(encode(plain(['a', 'b', 'c', 'd'])), 4, [0, 44]) as FilteredRecords).count
  }
  expect(count('api', 'uid-1')).toBe(3)
  expect(count('web', 'uid-1')).toBe(0)
  expect(count('web', 'uid-2')).toBe(3)
  now = 1000
  expect(count('web', 'uid-1')).toBe(2)
  now = 100_000
  expect(count('api', 'uid-1')).toBe(3)
})

test('a sample is about its share, the same when read again, and whole traces', async () => {
  const records = plain(Array.from({ length: 4000 }, (_, i) => `line ${i}`))
  const once = await run([{ sample: { rate: 0.25 } }], records)
  expect(once.kept.length).toBeGreaterThan(850)
  expect(once.kept.length).toBeLessThan(1150)
  expect((await run([{ sample: { rate: 0.25 } }], records)).lines).toEqual(once.lines)
  const behind = await run([{ sample: { rate: 0.25 } }], records.slice(1000))
  expect(behind.lines).toEqual(once.lines.slice(-behind.lines.length))
  const ids = Array.from({ length: 300 }, (_, i) => i.toString(16).padStart(32, 'a'))
  const traces = await run(
    [{ sample: { rate: 0.5 } }],
    plain(ids.flatMap((id) => [`a trace: traceId=${id}`, `{"trace_id":"${id.toUpperCase()}"}`, `trace-id: ${id} x`])),
  )
  expect(traces.kept.length % 3).toBe(0)
  expect(traces.kept.length).toBeGreaterThan(350)
  expect(traces.kept.length).toBeLessThan(550)
})

test('metadata is set, renamed and removed once for the log, and for the attributes of records', async () => {
  const filters = [
    { set: { env: 'prod', gone: 'x' } },
    { rename: { team: 'squad', a: 'squad' } },
    { remove: ['gone', 'b'] },
  ]
  const { kept, metadata } = await run(filters, plain(['{"a":1,"b":2,"c":3,"env":"dev"}', '{"squad":"own"}']), {
    policy: policy({ parser: 'json' }),
  })
  expect(metadata).toEqual({ pod_uid: 'uid-1', env: 'prod', squad: 'blue' })
  expect(kept.map(({ attributes }) => attributes)).toEqual([{ c: '3', squad: '1' }, {}])
})

test('conditions see what stages before them did', async () => {
  const filters = [{ set: { env: 'prod' } }, { drop: { where: 'env == "dev"' } }, { keep: { where: 'tier == "red"' } }]
  const { kept, tallies } = await run(filters, plain(['{"env":"dev","tier":"red"}', '{"tier":"green"}', 'no json']), {
    policy: policy({ parser: 'json' }),
  })
  expect(kept.map(({ attributes }) => attributes)).toEqual([{ tier: 'red' }])
  expect(tallies[0]!.parseErrors).toEqual(new Map([['json', 1]]))
})

test('no field of a line stands in for what is known of its pod', async () => {
  const { kept, metadata } = await run([], plain(['{"pod_uid":"x","team":"red","pod":"y"}']), {
    policy: policy({ parser: 'json' }),
  })
  expect(metadata).toEqual({ pod_uid: 'uid-1', team: 'blue' })
  expect(kept[0]!.attributes).toEqual({ pod_uid_extracted: 'x', team_extracted: 'red', pod_extracted: 'y' })
})

test('secrets are taken out of lines and of the attributes made of them', async () => {
  const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
  const filters = [{ redact: { patterns: ['email', 'aws'], custom: { order: 'order-\\d+' } } }]
  const lines = [`{"user":"a@b.de","id":"order-7","aws_secret_key":"${secret}"}`, 'nothing']
  const { kept, tallies } = await run(filters, plain(lines), { policy: policy({ parser: 'json' }) })
  expect(kept[0]!.line.toString()).toBe(
    '{"user":"[redacted:email]","id":"[redacted:order]","aws_secret_key":"[redacted:aws]"}',
  )
  expect(kept[0]!.attributes).toEqual({
    user: '[redacted:email]',
    id: '[redacted:order]',
    aws_secret_key: '[redacted:aws]',
  })
  expect(kept[1]!.attributes).toEqual({ parse_error: 'json' })
  expect(tallies[0]!.redactions.get('email')).toBe(2)
})

test('a line beyond the size that is examined is flagged', async () => {
  const { kept, tallies } = await run(
    [{ redact: { patterns: ['email'], maxLineBytes: 1024 } }],
    plain([`${'x '.repeat(2000)}a@b.de`]),
  )
  expect(kept[0]!.line.length).toBeLessThan(1100)
  expect(kept[0]!.attributes).toEqual({ withheld: 'true' })
  expect(tallies[0]!.withheld).toBe(1)
})

test.for([
  [{ drop: { where: 'line =~ "("' } }, 'collector.yaml: filters.0.drop.where: character 9: '],
  [{ redact: { custom: { x: '[' } } }, 'collector.yaml: filters.0.redact.custom.x: '],
] as const)('%j is refused with the place of its pattern', async ([entry, message]) => {
  await expect(chainOf([entry])).rejects.toThrow(message)
})

const line = fc.oneof(
  fc
    .array(fc.constantFrom('a', 'b', 'ab', ' ', '"x"', 'a@b.de', '{"a":"b"}', 'é'), { maxLength: 6 })
    .map((all) => Buffer.from(all.join(''))),
  fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
)
const records = fc.array(
  fc.record({ gap: fc.integer({ min: 1, max: 300 }), stream: fc.constantFrom<0 | 1>(0, 1), line }),
  { maxLength: 30 },
)

interface Rule {
  readonly entry: unknown
  readonly drops: (record: Plain) => boolean
}
const has = (text: string) => (record: Plain) => record.line.includes(text)
const rules: Rule[] = [
  { entry: { drop: { where: 'line contains "ab"' } }, drops: has('ab') },
  {
    entry: { drop: { where: 'line contains "a" and not line contains "b"' } },
    drops: (r) => has('a')(r) && !has('b')(r),
  },
  {
    entry: { keep: { where: 'line contains " " or stream == "stderr"' } },
    drops: (r) => !has(' ')(r) && r.stream === 0,
  },
  {
    entry: { drop: { where: 'line =~ "a[ b]+a" or line == ""' } },
    drops: (r) => /a[ b]+a/.test(r.line.toString('latin1')) || r.line.length === 0,
  },
  {
    entry: { drop: { where: 'pod == "api-1" and stream == "stdout" and line contains "é"' } },
    drops: (r) => r.stream === 0 && has('é')(r),
  },
  { entry: { drop: { where: 'pod == "api-2" and line contains "a"' } }, drops: () => false },
]

test('a chain keeps what its rules one by one keep, untouched, and every byte is kept or left out', async () => {
  let [kept, left] = [0, 0]
  await fc.assert(
    fc.asyncProperty(records, fc.subarray(rules, { minLength: 1 }), fc.boolean(), async (made, chosen, interleaved) => {
      let offset = 0
      const input = made.map(({ gap, stream, line }) => {
        const record = { offset, stream, line, attributes: {} }
        offset += gap
        return record
      })
      if (interleaved) input.sort((a, b) => a.stream - b.stream)
      const { chain } = await chainOf(chosen.map(({ entry }) => entry))
      const filter = chain.forStream(stream, usualPolicy)
      if (filter === undefined) return
      const bytes = encode(input)
      const result = filter.apply(bytes, input.length, [0, offset]) as FilteredRecords
      const expected = input.filter((record) => !chosen.some(({ drops }) => drops(record)))
      expect(decode(result.records)).toEqual(expected)
      const offsets = [...input.map((record) => record.offset), offset].sort((a, b) => a - b)
      const bytesOf = (all: readonly Plain[]) =>
        all.reduce((sum, record) => sum + offsets[offsets.lastIndexOf(record.offset) + 1]! - record.offset, 0)
      expect((result.leftOut?.dropped ?? 0) + bytesOf(expected)).toBe(offset)
      kept += expected.length
      left += input.length - expected.length
    }),
    { numRuns: 300 },
  )
  expect(kept).toBeGreaterThan(100)
  expect(left).toBeGreaterThan(100)
})

test('lines of any bytes come through every kind of filter', async () => {
  const filters = [
    { set: { a: 'x' } },
    { redact: { patterns: ['bearer', 'aws', 'jwt', 'creditCard', 'email'], custom: { own: 'a+b' } } },
    { rename: { b: 'c' } },
    { drop: { where: 'c =~ "x.*" or line =~ "zz"' } },
  ]
  const chains = await Promise.all(
    ['json', 'logfmt', 'nginx', 'own'].map(async (parser) => {
      const { chain } = await chainOf(filters, { parsers: { own: { regex: '(?P<b>a+)(?P<n>.)' } } })
      return chain.forStream(stream, policy({ parser }))!
    }),
  )
  fc.assert(
    fc.property(records, (made) => {
      const input = made.map((record, i) => ({ ...record, offset: i }))
      for (const filter of chains) {
        const result = filter.apply(encode(input), input.length, [0, input.length]) as FilteredRecords
        expect(decode(result.records).length).toBe(result.count)
        for (const { line, offset } of decode(result.records))
          if (!input[offset]!.line.includes('a')) expect(line).toEqual(input[offset]!.line)
      }
    }),
    { numRuns: 300 },
  )
})
