import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { Content } from 'tributary/generate/content.ts'
import { sourceOf, type Truth } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { describeRuns, lostRecords, Oracle, type ReadEntry } from './oracle.ts'

const lines = 200
const content = new Content({ seed: 1, textBytes: 100 })

function text(container: number, seq: number): string {
  const out = Buffer.alloc(1000)
  return out.toString('utf8', 0, content.write(out, 0, container, seq))
}

const truth: Truth = {
  seed: 1,
  seconds: 1,
  containers: [0, 1].map((container) => ({
    container,
    namespace: 'n',
    pod: `p-${container}`,
    uid: createHash('md5').update(String(container)).digest('hex'),
    name: 'c',
    lines,
    generations: [0, 100].map((firstSeq) => ({
      path: `/${container}/${firstSeq}`,
      deleted: false,
      restart: 0,
      firstSeq,
      bytes: 5000,
      starts: Array.from({ length: 100 }, (_, i) => i * 50),
      fingerprint: Buffer.from(`${container} ${firstSeq}\n`),
    })),
  })),
}

const entry = (container: number, seq: number): ReadEntry => ({
  timestamp: String(1000 + seq),
  line: text(container, seq),
})
const whole = (container: number) => Array.from({ length: lines }, (_, seq) => entry(container, seq))

function judge(read: ReadEntry[][]) {
  const oracle = new Oracle(truth)
  read.forEach((entries, container) => {
    for (const one of entries) oracle.add(container, one)
  })
  return oracle
}

const clean = { expected: 2 * lines, missing: 0, doubled: 0, corrupted: 0, reordered: 0, foreign: 0, wronglyLost: 0 }

test('what was read back whole is found whole', () => {
  expect(judge([whole(0), whole(1)]).verdict()).toEqual({ ...clean, read: 2 * lines, examples: [] })
})

test.for([
  ['a missing line', (read: ReadEntry[]) => read.splice(7, 1), { missing: 1 }],
  ['a doubled line', (read: ReadEntry[]) => read.splice(7, 0, read[7]!), { doubled: 1 }],
  ['a line that comes twice, far apart', (read: ReadEntry[]) => read.push(read[3]!), { doubled: 1 }],
  ['one missing and another doubled', (read: ReadEntry[]) => (read[7] = read[6]!), { missing: 1, doubled: 1 }],
  [
    'two lines that changed places',
    (read: ReadEntry[]) => ([read[7], read[8]] = [read[8]!, read[7]!]),
    { reordered: 1 },
  ],
  ['a line of another container', (read: ReadEntry[]) => read.push(entry(1, 3)), { foreign: 1 }],
  ['a line that was never written', (read: ReadEntry[]) => read.push(entry(0, lines)), { foreign: 1 }],
  [
    'a line without its end',
    (read: ReadEntry[]) => (read[9] = { ...read[9]!, line: read[9]!.line.slice(0, -1) }),
    { corrupted: 1, missing: 1 },
  ],
] as const)('%s is found', ([, harm, found]) => {
  const read = whole(0)
  harm(read)
  expect(judge([read, whole(1)]).verdict()).toMatchObject({ ...clean, ...found })
})

test('whatever is taken out or put in twice is counted exactly', () => {
  const numbers = fc.uniqueArray(fc.nat(lines - 1), { maxLength: 40 })
  fc.assert(
    fc.property(numbers, numbers, (gone, twice) => {
      const read = whole(0).flatMap((one, seq) => [
        ...(gone.includes(seq) ? [] : [one]),
        ...(twice.includes(seq) ? [one] : []),
      ])
      const doubled = twice.filter((seq) => !gone.includes(seq)).length
      const missing = gone.filter((seq) => !twice.includes(seq))
      const oracle = judge([read, whole(1)])
      expect(oracle.verdict()).toMatchObject({ ...clean, missing: missing.length, doubled })
      expect(oracle.missing()).toEqual([missing.sort((a, b) => a - b), []])
    }),
    { numRuns: 50 },
  )
})

test('records are lost where the audit says so, by byte range, and only those are excused', () => {
  const identity = { cluster: 'c', node: 'n' }
  const container = truth.containers[0]!
  const sources = truth.containers.flatMap((one) =>
    one.generations.map((generation) => ({
      source: sourceOf(one, generation, identity).toString('hex'),
      seen: 5000,
      stored: [],
      filtered: [],
      lost:
        one === container && generation.firstSeq === 100 ? [{ reason: 'deleted', ranges: [[100, 250] as const] }] : [],
    })),
  )
  const { lost, unknownSources } = lostRecords(truth, identity, sources)
  expect(unknownSources).toBe(0)
  expect(lost).toEqual([new Set([102, 103, 104]), new Set()])
  const read = whole(0).filter((_, seq) => seq < 102 || seq > 104)
  expect(judge([read, whole(1)]).verdict(lost)).toMatchObject(clean)
  expect(judge([read.slice(1), whole(1)]).verdict(lost)).toMatchObject({ ...clean, missing: 1 })
  expect(judge([whole(0), whole(1)]).verdict(lost)).toMatchObject({ ...clean, wronglyLost: 3 })
  expect(lostRecords(truth, identity, sources.slice(1)).unknownSources).toBe(1)
})

test('runs of numbers are described', () => {
  expect(describeRuns([1, 2, 3, 7])).toBe('4 (1-3, 7)')
})
