/** Damage costs the records it lies in and no others, and is told: by a start for what the ledger is made of, by the reader for the rest. */
import type { Disk } from '@tributary/protocol/disk.ts'
import { expect, test } from 'vitest'
import { CrashDisk } from '../../../test/harness/crash-disk.ts'
import { crc32c } from './crc32c.ts'
import type { WalEvent } from './event.ts'
import type { WalPosition } from './position.ts'
import { WalReader } from './reader.ts'
import { segmentHeadBytes } from './segment.ts'
import { Wal, type WalEntry } from './wal.ts'

const directory = '/wal'
const first = `${directory}/0000000000000001.wal`
const second = `${directory}/0000000000000002.wal`
const start = { segment: 1, offset: segmentHeadBytes }
const source = Buffer.alloc(16, 0xab)
const record = (n: number, message = Buffer.from(`message ${n} ${'.'.repeat(20 + n)}`)) => ({
  accepted: [[10 * n, 10 * n + 10]] as const,
  message,
  receivedAt: n,
  source,
  records: 3,
})
const numberOf = ({ accepted }: Pick<WalEntry, 'accepted'>) => accepted[0]![0] / 10

interface Log {
  readonly disk: CrashDisk
  readonly ends: readonly WalPosition[]
}

/** Records 0 to 5, in segments of so many bytes. */
async function newLog(segmentBytes = 1 << 20, records = [0, 1, 2, 3, 4, 5].map((n) => record(n))): Promise<Log> {
  const disk = new CrashDisk()
  const wal = await Wal.open({ disk, directory, maxBytes: 1 << 30, segmentBytes, onEvent: () => {} })
  const ends: WalPosition[] = []
  for (const one of records) ends.push(await wal.append(one))
  await wal.close()
  return { disk, ends }
}

async function reopen(disk: Disk, replayFrom?: WalPosition) {
  const events: WalEvent[] = []
  const entries: WalEntry[] = []
  const wal = await Wal.open({
    ...{ disk, directory, replayFrom, maxBytes: 1 << 30 },
    onEntry: (entry) => entries.push(entry),
    onEvent: (event) => events.push(event),
  })
  const { committed } = wal
  await wal.close()
  return { found: entries.map(numberOf), events, committed }
}

async function read(disk: Disk, until: WalPosition, from: WalPosition = start) {
  const events: WalEvent[] = []
  const reader = new WalReader({ disk, directory, from, onEvent: (event) => events.push(event) })
  const found: number[] = []
  for (let entry = await reader.next(until); entry; entry = await reader.next(until)) found.push(numberOf(entry))
  expect(reader.position).toEqual(until)
  await reader.close()
  return { found, events }
}

const all = [0, 1, 2, 3, 4, 5]
const without = (n: number) => all.filter((one) => one !== n)
const lossOf = (n: number) => ({ source: source.toString('hex'), ranges: [[10 * n, 10 * n + 10]], records: 3 })

test('a flipped bit anywhere in a record that others follow costs that record and no other', async () => {
  const { ends } = await newLog()
  for (let at = segmentHeadBytes; at < ends[4]!.offset; at++) {
    const { disk } = await newLog()
    disk.damage(first, at, 1 << (at % 8))
    const hit = ends.findIndex(({ offset }) => at < offset)
    const begin = ends[hit - 1]?.offset ?? segmentHeadBytes
    const end = ends[hit]!.offset
    const inMessage = at >= end - record(hit).message.length
    const { found, events } = await reopen(disk)
    expect(found, `byte ${at}`).toEqual(without(hit))
    expect(events, `byte ${at}`).toEqual([
      {
        ...{ kind: 'corrupt', segment: 1, start: begin, end, copy: `${directory}/quarantine/1-${begin}-${end}` },
        ...(inMessage ? { lost: [lossOf(hit)] } : {}),
      },
    ])
    // The reader comes to the same, and tells nothing: the ledger did not book what the start told of, so it is no loss to book.
    expect(await read(disk, ends[5]!)).toEqual({ found: without(hit), events: [] })
    // Nor does the next start.
    expect(await reopen(disk)).toMatchObject({ found: without(hit), events: [] })
  }
})

test('a flipped bit anywhere in the last record makes a torn tail, of which a copy is kept', async () => {
  const { ends } = await newLog()
  for (let at = ends[4]!.offset; at < ends[5]!.offset; at++) {
    const { disk } = await newLog()
    disk.damage(first, at, 1)
    const { found, events, committed } = await reopen(disk)
    expect(found).toEqual([0, 1, 2, 3, 4])
    const copy = `${directory}/quarantine/1-${ends[4]!.offset}-${ends[5]!.offset}`
    expect(events).toEqual([{ kind: 'torn_tail', segment: 1, bytes: ends[5]!.offset - ends[4]!.offset, copy }])
    expect(disk.look(copy)).toHaveLength(ends[5]!.offset - ends[4]!.offset)
    expect(committed).toEqual(ends[4])
  }
})

test('a flipped bit anywhere in the head of a segment costs no record', async () => {
  for (let at = 0; at < segmentHeadBytes; at++) {
    const { disk, ends } = await newLog()
    disk.damage(first, at, 1)
    const { found, events } = await reopen(disk)
    expect(found, `byte ${at}`).toEqual(all)
    expect(events).toEqual([{ kind: 'corrupt_head', segment: 1 }])
    expect((await read(disk, ends[5]!)).found).toEqual(all)
  }
})

test('damage in a segment that the ledger needs no more is told by the reader, with what it costs', async () => {
  const { disk, ends } = await newLog(200)
  expect(ends[5]!.segment).toBeGreaterThan(2)
  disk.damage(first, ends[0]!.offset - 1, 1)
  const { events } = await reopen(disk, ends[5]!)
  expect(events).toEqual([])
  const { found, events: told } = await read(disk, ends[5]!)
  expect(found).toEqual(without(0))
  const [begin, end] = [segmentHeadBytes, ends[0]!.offset]
  const copy = `${directory}/quarantine/1-${begin}-${end}`
  expect(told).toEqual([{ kind: 'corrupt', segment: 1, start: begin, end, copy, lost: [lossOf(0)] }])
})

test('a commit cut short by a crash is torn, not damaged, also where a record in its middle did not get to the disk', async () => {
  const disk = new CrashDisk()
  const wal = await Wal.open({ disk, directory, maxBytes: 1 << 30, onEvent: () => {} })
  const first0 = await wal.append(record(0))
  const group = await Promise.all([1, 2, 3, 4].map((n) => wal.append(record(n))))
  await wal.close()
  disk.damage(first, group[1]!.offset - 1, 1)
  const { found, events } = await reopen(disk)
  expect(found).toEqual([0, 1, 3, 4])
  const copy = `${directory}/quarantine/1-${group[0]!.offset}-${group[1]!.offset}`
  expect(events).toEqual([{ kind: 'torn_tail', segment: 1, bytes: group[1]!.offset - group[0]!.offset, copy }])
  expect(await read(disk, group[3]!)).toEqual({ found: [0, 1, 3, 4], events: [] })
  // The same damage in front of a later commit is damage: what lies there was confirmed.
  disk.damage(first, first0.offset - 1, 1)
  expect((await reopen(disk)).events).toMatchObject([{ kind: 'corrupt', end: first0.offset, lost: [lossOf(0)] }])
})

test('a damaged block takes the records it touches, and reading goes on behind it', async () => {
  const { disk, ends } = await newLog()
  for (let at = ends[1]!.offset + 3; at < ends[3]!.offset - 3; at++) {
    disk.damage(first, at, (disk.look(first) as Buffer)[at]!)
  }
  const { found, events } = await reopen(disk)
  expect(found).toEqual([0, 1, 4, 5])
  expect(events).toMatchObject([{ kind: 'corrupt', start: ends[1]!.offset, end: ends[3]!.offset }])
})

test('what the disk cannot read is damage, too', async () => {
  const records = all.map((n) => record(n, Buffer.alloc(3000, n)))
  const { disk, ends } = await newLog(undefined, records)
  const broken = [8192, 12288] as const
  const unreadable = (at: number, length: number) => at < broken[1] && at + length > broken[0]
  const failing: Disk = Object.assign(Object.create(disk), {
    open: async (path: string, mode: 'read' | 'update' | 'create') => {
      const file = await disk.open(path, mode)
      const readFile = (into: Uint8Array, at: number) => {
        if (path === first && unreadable(at, into.length)) throw Object.assign(new Error('EIO'), { code: 'EIO' })
        return file.read(into, at)
      }
      return { ...file, read: async (into: Uint8Array, at: number) => readFile(into, at) }
    },
  })
  for (const method of ['readdir', 'mkdir', 'syncDirectory', 'unlink'] as const) {
    Object.assign(failing, { [method]: disk[method].bind(disk) })
  }
  const hit = all.filter((n) => unreadable(ends[n]!.offset - 3070, 3070))
  const { found, events } = await reopen(failing)
  expect(hit.length).toBeGreaterThan(1)
  expect(found).toEqual(all.filter((n) => !hit.includes(n)))
  expect(events.map(({ kind }) => kind)).toContain('corrupt')
})

test('a copy of the log inside a message is never taken for records', async () => {
  const inner = await newLog()
  const piece = Buffer.from(inner.disk.look(first) as Buffer)
  const { disk, ends } = await newLog(undefined, [record(0), record(1, piece), record(2)])
  disk.damage(first, ends[0]!.offset + 9, 1)
  expect((await reopen(disk)).found).toEqual([0, 2])
})

test('segments that are gone are missed, at the start and by the reader; released ones are not', async () => {
  const { disk, ends } = await newLog(130)
  expect(new Set(ends.map(({ segment }) => segment)).size).toBeGreaterThan(3)
  await disk.unlink(second)
  const missing = [{ kind: 'missing_segments', from: 2, to: 2 }]
  expect((await reopen(disk)).events).toEqual(missing)
  expect((await read(disk, ends[5]!)).events).toEqual(missing)
  const inSecond = ends.filter(({ segment }) => segment === 2)
  expect((await reopen(disk, inSecond.at(-1))).events).toEqual([])
  expect((await read(disk, ends[5]!, inSecond.at(-1))).events).toEqual([])
  expect((await read(disk, ends[5]!, { segment: 2, offset: segmentHeadBytes })).events).toEqual(missing)
})

test('positions go on behind what the ledger knows, even if the segments are gone', async () => {
  const { disk } = await newLog()
  await disk.unlink(first)
  const wal = await Wal.open({
    ...{ disk, directory, maxBytes: 1 << 30, replayFrom: { segment: 7, offset: 500 } },
    onEvent: () => {},
  })
  expect(await wal.append(record(0))).toMatchObject({ segment: 8 })
  await wal.close()
})

test('what a newer version wrote is refused with a message that says so', async () => {
  const newer = await newLog()
  const bytes = newer.disk.look(first) as Buffer
  const head = Buffer.from(bytes.subarray(0, segmentHeadBytes))
  head.write('2', 6)
  const patch = (disk: CrashDisk, at: number, wanted: Buffer) => {
    for (const [i, byte] of wanted.entries()) disk.damage(first, at + i, byte ^ (disk.look(first) as Buffer)[at + i]!)
  }
  const crcOf = (...parts: Buffer[]) => {
    const crc = Buffer.alloc(4)
    crc.writeUInt32LE(crc32c(Buffer.concat(parts)))
    return crc
  }
  patch(newer.disk, 0, Buffer.concat([head.subarray(0, 36), crcOf(head.subarray(0, 36))]))
  await expect(reopen(newer.disk)).rejects.toThrow('version "TRBWAL2", this program reads "TRBWAL1"')

  const unknown = await newLog()
  const record = Buffer.from((unknown.disk.look(first) as Buffer).subarray(segmentHeadBytes, segmentHeadBytes + 68))
  record[8] = 9
  const offset = Buffer.alloc(8)
  offset.writeDoubleLE(segmentHeadBytes)
  patch(unknown.disk, segmentHeadBytes, Buffer.concat([record, crcOf(offset, record)]))
  await expect(reopen(unknown.disk)).rejects.toThrow('records of kind 9: a newer version wrote them')
})
