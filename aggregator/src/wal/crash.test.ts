/**
 * Whatever the disk does, whenever: what was confirmed is found again, in order, once, and nothing is found that was not appended.
 * The script is cut before each change it makes to the disk, and each change is made to fail.
 */
import type { Disk } from '@tributary/protocol/disk.ts'
import { describe, expect, test } from 'vitest'
import { CrashDisk } from '../../../test/harness/crash-disk.ts'
import type { WalEvent } from './event.ts'
import { comparePositions, type WalPosition } from './position.ts'
import { WalReader } from './reader.ts'
import { Wal, type WalEntry } from './wal.ts'

const directory = '/data/wal'
const start = { segment: 0, offset: 0 }
const messageOf = (n: number) => `message ${n} `.padEnd(30 + ((n * 37) % 90), '.')
const record = (n: number) => ({ accepted: [[n, n + 10]] as const, message: Buffer.from(messageOf(n)), receivedAt: n })
const numberOf = ({ message }: WalEntry) => Number(message.toString().split(' ')[1])

/** What a script was told. */
class Told {
  readonly confirmed: { readonly n: number; readonly end: WalPosition }[] = []
  readonly events: WalEvent[] = []
  appended = 0
  released: WalPosition = start

  /** Confirmed and not released: these must be found. */
  get owed(): number[] {
    return this.confirmed.filter(({ end }) => comparePositions(end, this.released) > 0).map(({ n }) => n)
  }
}

async function openWal(disk: Disk, events: WalEvent[] = [], maxBytes = 1 << 20) {
  const entries: WalEntry[] = []
  const wal = await Wal.open({
    ...{ disk, directory, maxBytes, segmentBytes: 400, retryDelay: 1 },
    onEntry: (entry) => entries.push(entry),
    onEvent: (event) => events.push(event),
  })
  return { wal, entries }
}

/** Alone, in groups, over several segments, with two releases. */
async function script(disk: Disk, told: Told): Promise<void> {
  const { wal } = await openWal(disk, told.events)
  const append = async (n: number) => {
    told.appended = Math.max(told.appended, n + 1)
    told.confirmed.push({ n, end: await wal.append(record(n)) })
  }
  const release = async (upTo: WalPosition) => {
    told.released = upTo
    await wal.release(upTo)
  }
  await append(0)
  await append(1)
  await Promise.all([2, 3, 4, 5, 6, 7].map(append))
  await release(told.confirmed[3]!.end)
  await append(8)
  await Promise.all([9, 10].map(append))
  await release(told.confirmed.at(-1)!.end)
  await Promise.all([11, 12, 13, 14].map(append))
  await append(15)
  await wal.close()
}

async function newDisk(options: ConstructorParameters<typeof CrashDisk>[0] = {}): Promise<CrashDisk> {
  const disk = new CrashDisk()
  await disk.mkdir('/data')
  await disk.syncDirectory('/')
  return disk.restart({ survives: 'everything', ...options })
}

async function readAll(disk: Disk, from: WalPosition, until: WalPosition): Promise<WalEntry[]> {
  const reader = new WalReader({ disk, directory, from, onEvent: () => {} })
  const entries: WalEntry[] = []
  for (let entry = await reader.next(until); entry; entry = await reader.next(until)) entries.push(entry)
  expect(comparePositions(reader.position, until)).toBeGreaterThanOrEqual(0)
  await reader.close()
  return entries
}

/** Opens the log of a new process and holds what it finds against what the old one was told. */
async function checkFound(disk: CrashDisk, told: Told, context: string): Promise<number[]> {
  const events: WalEvent[] = []
  const { wal, entries } = await openWal(disk, events)
  const found = entries.map(numberOf)
  expect(found, `${context}: in order, once`).toEqual([...new Set(found)].sort((a, b) => a - b))
  expect(found, `${context}: what was confirmed`).toEqual(expect.arrayContaining(told.owed))
  for (const { message, accepted } of entries) {
    const n = numberOf({ message } as WalEntry)
    expect(n, `${context}: only what was appended`).toBeLessThan(told.appended)
    expect([message.toString(), accepted]).toEqual([messageOf(n), [[n, n + 10]]])
  }
  expect(
    events.filter(({ kind }) => kind !== 'torn_tail'),
    context,
  ).toEqual([])
  // It goes on behind what was found, and the reader finds the same.
  const last = told.confirmed.at(-1)?.end ?? start
  const next = await wal.append(record(99))
  expect(comparePositions(next, last), context).toBeGreaterThan(0)
  const read = await readAll(disk, start, wal.committed)
  expect(read.map(numberOf), `${context}: the reader`).toEqual([...found, 99])
  await wal.close()
  return found
}

/** How many changes the script makes when nothing goes wrong. */
async function countChanges(): Promise<number> {
  const disk = await newDisk()
  await script(disk, new Told())
  return disk.changes
}
const changes = await countChanges()
const each = Array.from({ length: changes }, (_, i) => i + 1)

test('the script makes the changes that matter', async () => {
  const disk = await newDisk()
  await script(disk, new Told())
  const kinds = disk.trace.map((change) => change.split(' ')[0])
  for (const kind of ['create', 'write', 'sync', 'syncDirectory', 'mkdir', 'unlink']) expect(kinds).toContain(kind)
  expect(kinds.filter((kind) => kind === 'create').length).toBeGreaterThan(3)
})

describe('a power cut', () => {
  const found = new Set<string>()
  test.for(each)('before change %i', async (crashBefore) => {
    for (let seed = 0; seed < 8; seed++) {
      const disk = await newDisk({ crashBefore, seed })
      const told = new Told()
      await disk.run(() => script(disk, told))
      const context = `seed ${seed}: ${disk.trace.join(', ')}`
      const survives = (['some', 'nothing', 'everything'] as const)[seed] ?? 'some'
      const after = disk.restart({ seed, survives })
      const numbers = await checkFound(after, told, context)
      found.add(numbers.join())
      // What the second process found, it has told the ledger: it stays.
      const again = (await openWal(after.restart({ survives: 'nothing' }))).entries.map(numberOf)
      expect(again, context).toEqual([...numbers, 99])
    }
  })
  test('left different things to be found', () => expect(found.size).toBeGreaterThan(8))
})

test('a kill before each change: what the next process finds survives a power cut', async () => {
  for (const crashBefore of each) {
    const disk = await newDisk({ crashBefore })
    const told = new Told()
    await disk.run(() => script(disk, told))
    const after = disk.kill()
    const found = (await openWal(after)).entries.map(numberOf)
    expect(found).toEqual(expect.arrayContaining(told.owed))
    const again = (await openWal(after.restart({ survives: 'nothing' }))).entries.map(numberOf)
    // Segments whose deletion was not durable yet may be back.
    expect(again, disk.trace.join(', ')).toEqual(expect.arrayContaining(found))
  }
})

describe.for(['ENOSPC', 'EIO', 'EDQUOT'])('%s', (code) => {
  test('at each change, once or for a while: appends wait, and then all are there', async () => {
    for (const failing of each) {
      for (const times of [1, 4]) {
        const fault = ({ number }: { number: number }) =>
          number >= failing && number < failing + times ? code : undefined
        const disk = await newDisk({ fault, seed: failing })
        const told = new Told()
        let thrown: unknown
        // Opening and releasing tell their caller, who tries again.
        await script(disk, told).catch((error: unknown) => {
          thrown = error
        })
        if (thrown !== undefined) expect(thrown).toMatchObject({ code })
        else expect(told.confirmed).toHaveLength(16)
        const context = `${code} at ${failing}: ${disk.trace.join(', ')}`
        if (thrown === undefined) await checkFound(disk, told, context)
        else await checkFound(disk.kill(), told, context)
      }
    }
  })

  test('at each change, and a power cut afterwards', async () => {
    for (const failing of each) {
      for (let seed = 0; seed < 3; seed++) {
        const fault = ({ number }: { number: number }) => (number === failing ? code : undefined)
        const disk = await newDisk({ fault, seed, crashBefore: failing + 1 + seed * 3 })
        const told = new Told()
        await disk.run(() => script(disk, told).catch(() => {}))
        await checkFound(disk.restart({ seed }), told, `${code} at ${failing}, seed ${seed}: ${disk.trace.join(', ')}`)
      }
    }
  })
})

test('while the disk is full the log says so, and it goes on by itself when there is room', async () => {
  let full = false
  const disk = await newDisk({ fault: ({ kind }) => (full && kind === 'write' ? 'ENOSPC' : undefined) })
  const told = new Told()
  const { wal } = await openWal(disk, told.events)
  await wal.append(record(0))
  full = true
  const waiting = [1, 2, 3].map((n) => wal.append(record(n)))
  await expect.poll(() => wal.stalled).toBe('disk_full')
  full = false
  await Promise.all(waiting)
  expect(wal.stalled).toBeUndefined()
  expect(told.events).toEqual([{ kind: 'stalled', reason: 'disk_full' }, { kind: 'resumed' }])
  expect((await readAll(disk, start, wal.committed)).map(numberOf)).toEqual([0, 1, 2, 3])
  await wal.close()
})

test('what waits for a disk that stays full is rejected when the log is closed, and is not there afterwards', async () => {
  for (let seed = 0; seed < 10; seed++) {
    let full = false
    const disk = await newDisk({ seed, fault: ({ kind }) => (full && kind === 'write' ? 'ENOSPC' : undefined) })
    const { wal } = await openWal(disk)
    await wal.append(record(0))
    full = true
    const waiting = [1, 2, 3, 4].map((n) => wal.append(record(n)))
    const rejected = Promise.all(waiting.map((append) => expect(append).rejects.toThrow('closed')))
    await expect.poll(() => wal.stalled, { interval: 2 }).toBe('disk_full')
    await wal.close(AbortSignal.abort())
    await rejected
    await expect(wal.append(record(5))).rejects.toThrow('closed')
    full = false
    expect((await openWal(disk.kill())).entries.map(numberOf)).toEqual([0])
  }
})

test('a segment is written to no more after a sync of it failed', async () => {
  let syncs = 0
  const disk = await newDisk({ fault: ({ kind }) => (kind === 'sync' && ++syncs === 3 ? 'EIO' : undefined) })
  const { wal } = await openWal(disk)
  const first = await wal.append(record(0))
  const second = await wal.append(record(1))
  expect([first.segment, second.segment]).toEqual([1, 2])
  const next = disk.look(`${directory}/0000000000000002.wal`) as Buffer
  expect(Number(next.readBigUInt64LE(16))).toBe(first.offset)
  expect((await readAll(disk, start, wal.committed)).map(numberOf)).toEqual([0, 1])
  await wal.close()
})

test('releases that come while commits are under way disturb neither', async () => {
  const disk = await newDisk()
  const { wal } = await openWal(disk, [], 1200)
  const reader = new WalReader({ disk, directory, from: start, onEvent: () => {} })
  const read: number[] = []
  let appending = true
  const appends = Promise.all(Array.from({ length: 300 }, (_, n) => wal.append(record(n)))).finally(() => {
    appending = false
  })
  while (appending || comparePositions(reader.position, wal.committed) < 0) {
    const entry = await reader.next(wal.committed)
    if (entry !== undefined) read.push(numberOf(entry))
    // As a loader that keeps up: released up to the very end while the next group is written.
    void wal.release(reader.position)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await appends
  expect(read).toEqual(Array.from({ length: 300 }, (_, n) => n))
  await reader.close()
  await wal.close()
})
