import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Disk, nodeDisk } from '@tributary/protocol/disk.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { WalEvent } from './event.ts'
import { comparePositions, type WalPosition } from './position.ts'
import { WalReader } from './reader.ts'
import { Wal, type WalEntry, type WalOptions } from './wal.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-wal-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const record = (n: number, bytes = 20) => ({
  accepted: [[n, n + 10]] as const,
  message: Buffer.from(`message ${n} `.padEnd(bytes, '.')),
  receivedAt: 1000 + n,
})
const numberOf = (entry: WalEntry) => Number(entry.message.toString().split(' ')[1])

async function open(
  events: WalEvent[] = [],
  options: Partial<Pick<WalOptions, 'maxBytes' | 'segmentBytes' | 'disk' | 'replayFrom' | 'room'>> = {},
) {
  const entries: WalEntry[] = []
  const wal = await Wal.open({
    disk: nodeDisk,
    directory,
    maxBytes: 1 << 30,
    retryDelay: 1,
    ...options,
    onEvent: (e) => events.push(e),
    onEntry: (e) => entries.push(e),
  })
  return { wal, entries }
}

async function readAll(until: WalPosition, from: WalPosition = { segment: 0, offset: 0 }, events: WalEvent[] = []) {
  const reader = new WalReader({ disk: nodeDisk, directory, from, onEvent: (e) => events.push(e) })
  const entries: WalEntry[] = []
  for (let entry = await reader.next(until); entry; entry = await reader.next(until)) entries.push(entry)
  await reader.close()
  return entries
}

test('what was appended is read back, by the reader and after a restart, over segments', async () => {
  const { wal } = await open([], { segmentBytes: 300 })
  const positions = await Promise.all(Array.from({ length: 50 }, (_, n) => wal.append(record(n))))
  for (let n = 50; n < 60; n++) positions.push(await wal.append(record(n)))
  expect([...positions].sort(comparePositions)).toEqual(positions)
  expect((await readAll(wal.committed)).map(numberOf)).toEqual(Array.from({ length: 60 }, (_, n) => n))
  expect((await readAll(positions[30]!, positions[9])).map(numberOf)).toEqual(
    Array.from({ length: 21 }, (_, n) => n + 10),
  )
  await wal.close()
  const { wal: again, entries } = await open()
  expect(entries).toMatchObject(Array.from({ length: 60 }, (_, n) => record(n)))
  expect(entries.map(({ end }) => end)).toEqual(positions)
  expect(again.committed).toEqual(positions.at(-1))
  await again.close()
})

test('released segments are gone, and positions go on', async () => {
  const { wal } = await open([], { segmentBytes: 200 })
  const ends: WalPosition[] = []
  for (let n = 0; n < 20; n++) ends.push(await wal.append(record(n)))
  await wal.release(ends[9]!)
  expect(readdirSync(directory).length).toBeLessThan(8)
  expect((await readAll(wal.committed, ends[9])).map(numberOf)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  await wal.close()
  const { wal: again, entries } = await open([], { replayFrom: ends[9]! })
  expect(entries.map(numberOf)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  const next = await again.append(record(20))
  expect(comparePositions(next, ends.at(-1)!)).toBeGreaterThan(0)
  await again.close()
})

test('a full log makes appends wait until something is released, also when all of it is one segment', async () => {
  const events: WalEvent[] = []
  const { wal } = await open(events, { maxBytes: 1000, segmentBytes: 1000 })
  const done: number[] = []
  const appends = Array.from({ length: 40 }, (_, n) => wal.append(record(n, 100)).then(() => done.push(n)))
  await expect.poll(() => wal.stalled).toBe('full')
  const before = done.length
  expect(before).toBeLessThan(40)
  for (let i = 0; i < 40 && done.length < 40; i++) {
    await wal.release(wal.committed)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await Promise.all(appends)
  expect(done).toEqual(Array.from({ length: 40 }, (_, n) => n))
  expect(events).toContainEqual({ kind: 'stalled', reason: 'full' })
  await wal.close()
})

test('on a volume that is to take no more appends wait, with all that they would write', async () => {
  const asked: number[] = []
  let room = 0
  const { wal } = await open([], { room: async (bytes) => asked.push(bytes) > 0 && bytes <= room })
  const appends = Promise.all([1, 2].map((n) => wal.append(record(n, 100))))
  await expect.poll(() => wal.stalled).toBe('disk_full')
  room = 200
  await appends
  expect(asked).toContain(200)
  expect(wal.stalled).toBeUndefined()
  await wal.close()
})

test.for([0, 1, 8, 15, 16, 20, 40])(
  'a tail torn %i bytes into a record is cut off, and what was confirmed is there',
  async (torn) => {
    const { wal } = await open()
    for (let n = 0; n < 5; n++) await wal.append(record(n))
    await wal.close()
    const path = join(directory, '0000000000000001.wal')
    const bytes = readFileSync(path)
    writeFileSync(path, Buffer.concat([bytes, bytes.subarray(40, 40 + torn)]))
    const events: WalEvent[] = []
    const { wal: again, entries } = await open(events)
    expect(entries.map(numberOf)).toEqual([0, 1, 2, 3, 4])
    expect(events).toMatchObject(torn === 0 ? [] : [{ kind: 'torn_tail', segment: 1, bytes: torn }])
    if (events[0]?.kind === 'torn_tail') expect(readFileSync(events[0].copy!)).toEqual(bytes.subarray(40, 40 + torn))
    await again.append(record(5))
    expect((await readAll(again.committed)).map(numberOf)).toEqual([0, 1, 2, 3, 4, 5])
    await again.close()
  },
)

/** The real disk, failing where told. */
function failing(fail: (operation: string) => string | undefined): Disk {
  const check = (operation: string) => {
    const code = fail(operation)
    if (code) throw Object.assign(new Error(code), { code })
  }
  return {
    ...nodeDisk,
    async open(path, mode) {
      check('open')
      const file = await nodeDisk.open(path, mode)
      return {
        async write(data, at) {
          check('write')
          await file.write(data, at)
        },
        async writeAll(data, at) {
          // A write that fails may have written a part.
          const code = fail('writeAll')
          if (code) {
            await file.write(Buffer.concat(data).subarray(0, 30), at)
            throw Object.assign(new Error(code), { code })
          }
          await file.writeAll(data, at)
        },
        read: (into, at) => file.read(into, at),
        size: () => file.size(),
        async truncate(length) {
          check('truncate')
          await file.truncate(length)
        },
        async sync() {
          check('sync')
          await file.sync()
        },
        close: () => file.close(),
      }
    },
  }
}

test('a disk that is full, fails to sync, or fails at anything for a while delays appends and loses none', async () => {
  let seed = 7
  const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32
  let trouble = 0
  const disk = failing(() => (random() < 0.25 && trouble++ < 12 ? (random() < 0.5 ? 'ENOSPC' : 'EIO') : undefined))
  const { wal } = await open([], { disk, segmentBytes: 400 }).catch(() => open([], { disk, segmentBytes: 400 }))
  const ends: WalPosition[] = []
  for (let n = 0; n < 40; n++) ends.push(await wal.append(record(n)))
  expect(trouble).toBeGreaterThan(10)
  expect((await readAll(wal.committed)).map(numberOf)).toEqual(Array.from({ length: 40 }, (_, n) => n))
  await wal.close()
  const { wal: again, entries } = await open()
  expect(entries.map(numberOf)).toEqual(Array.from({ length: 40 }, (_, n) => n))
  await again.close()
}, 60_000)
