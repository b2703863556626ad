import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  Bytes16Column,
  type Column,
  DateColumn,
  encodeBlock,
  StringColumn,
  TimeColumn,
  UInt64Column,
  varint,
} from './native.ts'
import { LowCardinalityColumn, MapColumn } from './native-dictionary.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const hex = (parts: Buffer[]) => Buffer.concat(parts).toString('hex')
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string))).toString('hex')

describe('bytes, written out by hand', () => {
  test('a block of numbers and strings', () => {
    const a = new UInt64Column('a')
    const s = new StringColumn('s')
    a.append(258)
    a.repeat(1, 2, 1)
    s.append(Buffer.from('xyz'), 1, 3)
    s.append(Buffer.from(''), 0, 0)
    expect(hex(encodeBlock([a, s]))).toBe(
      bytes([2, 2], [1], 'a', [6], 'UInt64', [2, 1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 2, 0, 0, 0]) +
        bytes([1], 's', [6], 'String', [2], 'yz', [0]),
    )
  })
  test('a dictionary begins with the empty string', () => {
    const column = new LowCardinalityColumn('l')
    column.fill(column.indexOf('b'), 2)
    column.fill(column.indexOf(''), 1)
    const words = (...values: number[]) => values.flatMap((value) => [value & 255, value >> 8, 0, 0, 0, 0, 0, 0])
    expect(hex(column.parts())).toBe(bytes(words(1, 0x600, 2), [0, 1], 'b', words(3), [1, 1, 0]))
  })
  test('a map is where its pairs end, its keys, its values', () => {
    const column = new MapColumn('m')
    column.repeat(column.prepare({ b: '2', a: '1' }), 1)
    column.repeat(column.prepare({}), 1)
    const words = (...values: number[]) => values.flatMap((value) => [value & 255, value >> 8, 0, 0, 0, 0, 0, 0])
    const keys = bytes(words(0x600, 3), [0, 1], 'a', [1], 'b', words(2), [1, 2])
    expect(hex(column.parts())).toBe(bytes(words(1, 2, 2)) + keys + bytes([1], '1', [1], '2'))
  })
  test('a time is nanoseconds in 64 bits, for any second', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -9_223_372_036, max: 9_223_372_035 }),
        fc.integer({ min: 0, max: 999_999_999 }),
        (seconds, nanoseconds) => {
          const column = new TimeColumn('t')
          column.append(seconds, nanoseconds)
          expect(column.parts()[0]!.readBigInt64LE()).toBe(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds))
        },
      ),
      { numRuns: 1000 },
    )
  })
  test('a number is 64 bits, up to the last exact one', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const column = new UInt64Column('n')
        column.append(value)
        expect(column.parts()[0]!.readBigUInt64LE()).toBe(BigInt(value))
      }),
    )
  })
  test.for([
    [0, [0]],
    [127, [127]],
    [128, [128, 1]],
    [16_384, [128, 128, 1]],
    [2 ** 35, [128, 128, 128, 128, 128, 1]],
  ] as const)('the length %i', ([value, expected]) => expect([...varint(value)]).toEqual(expected))
})

describe('read back by the engine', () => {
  let opened: TestStore
  let tables = 0
  beforeAll(async () => {
    opened = await openTestStore()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  /** Inserts the columns into a new table of their types and selects `expressions` of all rows, in order. */
  async function roundTrip(columns: Column[], expressions: string): Promise<unknown[]> {
    const table = `t${tables++}`
    const types = columns.map(({ name, type }) => `${name} ${type}`).join(', ')
    const settings = 'non_replicated_deduplication_window = 100'
    await opened.client.command(`CREATE TABLE ${table} (${types}) ENGINE = MergeTree ORDER BY () SETTINGS ${settings}`)
    const names = columns.map(({ name }) => name)
    await opened.client.insertNative(table, names, encodeBlock(columns), table)
    const { rows } = await opened.client.query(`SELECT ${expressions} FROM ${table} SETTINGS max_threads = 1`)
    return rows
  }

  test('every type', async () => {
    const time = new TimeColumn('t')
    const day = new DateColumn('d')
    const id = new UInt64Column('id')
    const fixed = new Bytes16Column('f')
    time.append(1_700_000_000, 123_456_789)
    time.append(-1, 999_999_999)
    time.append(0, 0)
    day.append(0)
    day.append(20_780)
    day.append(65_535)
    id.repeat(0xffffffff, 0xffffffff, 1)
    id.append(Number.MAX_SAFE_INTEGER)
    id.append(0)
    fixed.repeat(Buffer.alloc(16, 0xab), 2)
    fixed.repeat(Buffer.from('0123456789abcdef'), 1)
    expect(await roundTrip([time, day, id, fixed], 'toUnixTimestamp64Nano(t) AS t, d, id, hex(f) AS f')).toEqual([
      { t: '1700000000123456789', d: '1970-01-01', id: '18446744073709551615', f: 'AB'.repeat(16) },
      { t: '-1', d: '2026-11-23', id: '9007199254740991', f: 'AB'.repeat(16) },
      { t: '0', d: '2149-06-06', id: '0', f: Buffer.from('0123456789abcdef').toString('hex') },
    ])
  })

  test('strings of any bytes', async () => {
    const lines = ['', 'plain', 'ünïcödé 💥', '\0\0', 'a\n\nSELECT 1', `${'x'.repeat(300)}`, 'y'.repeat(70_000)]
      .map((line) => Buffer.from(line))
      .concat([Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from('z'.repeat(24)), Buffer.from('z'.repeat(25))])
    const column = new StringColumn('s')
    for (const line of lines)
      column.append(Buffer.concat([Buffer.from('<<'), line, Buffer.from('>>')]), 2, line.length + 2)
    expect(await roundTrip([column], 'lower(hex(s)) AS s')).toEqual(lines.map((line) => ({ s: line.toString('hex') })))
  })

  test.for([10, 255, 256, 257, 65_535, 65_536, 70_000])('a dictionary of %i values', async (count) => {
    const column = new LowCardinalityColumn('l')
    const id = new UInt64Column('id')
    for (let i = 0; i < count; i++) {
      column.fill(column.indexOf(`v${i % count}`), 1)
      id.append(i)
    }
    const wrong = "countIf(toString(l) != concat('v', toString(id))) AS wrong, count() AS rows"
    expect(await roundTrip([column, id], wrong)).toEqual([{ wrong: '0', rows: String(count) }])
  })

  test('maps: empty, single, many keys, runs', async () => {
    const column = new MapColumn('m')
    const maps: [Record<string, string>, number][] = [
      [{}, 2],
      [{ a: '1' }, 3],
      [{ zz: 'é', b: '', a: '\0' }, 2],
      [{}, 1],
      [Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key${i}`, `${i}`])), 2],
    ]
    for (const [map, times] of maps) column.repeat(column.prepare(map), times)
    const expected = maps.flatMap(([map, times]) => Array.from({ length: times }, () => ({ m: map })))
    expect(await roundTrip([column], 'm')).toEqual(expected)
  })

  test('nothing but empty maps', async () => {
    const column = new MapColumn('m')
    column.repeat(column.prepare({}), 5)
    expect(await roundTrip([column], 'm')).toEqual(Array.from({ length: 5 }, () => ({ m: {} })))
  })

  test('columns that are used again after a reset', async () => {
    const column = new MapColumn('m')
    const level = new LowCardinalityColumn('l')
    for (const text of ['first', 'second']) {
      column.reset()
      level.reset()
      column.repeat(column.prepare({ [text]: text }), 3)
      level.fill(level.indexOf(text), 3)
      const expected = Array.from({ length: 3 }, () => ({ m: { [text]: text }, l: text }))
      expect(await roundTrip([column, level], 'm, l')).toEqual(expected)
    }
  })

  test('a block that breaks off is refused whole, wherever it does', async () => {
    const id = new UInt64Column('id')
    const text = new StringColumn('s')
    for (let i = 0; i < 1000; i++) {
      id.append(i)
      text.append(Buffer.from(`line ${i}`), 0, 6)
    }
    const block = Buffer.concat(encodeBlock([id, text]))
    await opened.client.command('CREATE TABLE torn (id UInt64, s String) ENGINE = MergeTree ORDER BY id')
    for (const length of [1, 2, 20, 4000, 8015, block.length - 1]) {
      const insert = opened.client.insertNative('torn', ['id', 's'], block.subarray(0, length), `torn-${length}`)
      await expect(insert, `${length} bytes`).rejects.toMatchObject({ code: 'rejected', retryable: false })
    }
    expect((await opened.client.query('SELECT count() AS n FROM torn')).rows).toEqual([{ n: '0' }])
  })
})
