import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { expect, test } from 'vitest'
import { LogBlock } from '../store/log-block.ts'
import { rowStream } from '../store/test-store.ts'
import { DaySink, type RowFilter } from './day-sink.ts'

const daySeconds = 86_400
const source = Buffer.alloc(16, 7)

type Rows = readonly (readonly [day: number, offset: number])[]

function sinkOf(rows: Rows, filter?: RowFilter, sink = new DaySink(() => new LogBlock())): DaySink {
  sink.begin(filter)
  sink.setStream(rowStream({ source }))
  for (const [day, offset] of rows) sink.add(day * daySeconds + 9, 0, offset, '', Buffer.from('x'), 0, 1)
  return sink
}

const rowsByDay = (sink: DaySink) => [...sink.blocks].map(([day, block]) => [day, block.rows])

test('rows go to a block for their day, whatever their order', () => {
  const sink = sinkOf([
    [5, 0],
    [6, 10],
    [5, 20],
  ])
  expect(rowsByDay(sink)).toEqual([
    [5, 2],
    [6, 1],
  ])
  sinkOf([[6, 0]], undefined, sink)
  expect(rowsByDay(sink)).toEqual([
    [5, 2],
    [6, 2],
  ])
  expect(sink.rows).toBe(4)
  expect(sink.byteLength).toBe([...sink.blocks.values()].reduce((sum, block) => sum + block.byteLength, 0))
})

test('times that the store has no day for are of the first and of the last it has', () => {
  const sink = sinkOf([
    [-3, 0],
    [70_000, 1],
  ])
  expect(rowsByDay(sink)).toEqual([
    [0, 1],
    [65_535, 1],
  ])
})

test.each<{ what: string; rows: Rows; ranges: ByteRanges; split: unknown }>([
  { what: 'no rows', rows: [], ranges: [[0, 9]], split: [{ day: undefined, ranges: [[0, 9]], records: 0 }] },
  {
    what: 'one day',
    rows: [
      [5, 10],
      [5, 20],
    ],
    ranges: [[0, 30]],
    split: [{ day: 5, ranges: [[0, 30]], records: 2 }],
  },
  {
    what: 'midnight: what lies before the first row goes with it, what follows a row with that',
    rows: [
      [5, 10],
      [6, 20],
    ],
    ranges: [[0, 30]],
    split: [
      { day: 5, ranges: [[0, 20]], records: 1 },
      { day: 6, ranges: [[20, 30]], records: 1 },
    ],
  },
  {
    what: 'days in turns, rows out of order, ranges with a gap',
    rows: [
      [6, 20],
      [5, 10],
      [5, 30],
    ],
    ranges: [
      [10, 25],
      [28, 40],
    ],
    split: [
      {
        day: 5,
        ranges: [
          [10, 20],
          [30, 40],
        ],
        records: 2,
      },
      {
        day: 6,
        ranges: [
          [20, 25],
          [28, 30],
        ],
        records: 1,
      },
    ],
  },
])('bytes by the day of their rows: $what', ({ rows, ranges, split }) => {
  expect(sinkOf(rows).split(source, ranges)).toEqual(split)
})

test('rows of another source, and of an earlier message, are not looked at', () => {
  const sink = sinkOf([[5, 10]])
  expect(sink.split(Buffer.alloc(16, 8), [[0, 20]])).toEqual([{ day: undefined, ranges: [[0, 20]], records: 0 }])
  sinkOf([[6, 12]], undefined, sink)
  expect(sink.split(Buffer.from(source), [[0, 20]])).toEqual([{ day: 6, ranges: [[0, 20]], records: 1 }])
})

test('a filter leaves out days, and rows outside its ranges', () => {
  const none = { base: 0, last: Number.MAX_SAFE_INTEGER, days: [] as number[], ranges: undefined }
  const rows: Rows = [
    [5, 0],
    [5, 1],
    [6, 2],
    [6, 9],
  ]
  expect(rowsByDay(sinkOf(rows, { ...none, days: [5] }))).toEqual([[6, 2]])
  // What is beyond the last byte counts as at it: 100, 101, 102 and again 102.
  const within = (ranges: ByteRanges) => rowsByDay(sinkOf(rows, { ...none, base: 100, last: 102, ranges }))
  expect(within([[101, 103]])).toEqual([
    [5, 1],
    [6, 2],
  ])
  expect(within([[100, 101]])).toEqual([[5, 1]])
  expect(within([])).toEqual([])
})
