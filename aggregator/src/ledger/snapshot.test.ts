/** The ledger on a disk that loses power, fails or flips bits: what was snapshot is there, and damage costs what it lies in. */
import { crc32 } from 'node:zlib'
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import type { Disk } from '@tributary/protocol/disk.ts'
import { expect, test } from 'vitest'
import { CrashDisk } from '../../../test/harness/crash-disk.ts'
import { Ledger } from './ledger.ts'

const path = '/ledger'
const sources = [1, 2, 3, 4].map((n) => Buffer.alloc(16, n))
const header = (source: number, end: number): ChunkHeader => ({
  ...{ source: sources[source]!, range: [0, end], seen: end, rawBytes: 0, path: `/logs/${source}` },
  ...{ labels: { pod: 'p' }, metadata: {} },
})

async function open(disk: Disk) {
  const damage: string[] = []
  const { ledger, upTo } = await Ledger.open({ disk, path, onDamage: ({ message }) => damage.push(message) })
  return { ledger, upTo, damage, ends: sources.map((source) => ledger.ranges(source)[0]?.[1] ?? 0) }
}

/** Books chunks so that every source reaches `end`, and takes a snapshot. */
async function grow(ledger: Ledger, end: number, upTo = { segment: 1, offset: end }) {
  for (const i of sources.keys()) ledger.confirm(ledger.admit(header(i, end), 1, () => 1))
  await ledger.snapshot(upTo)
}

const all = (end: number) => sources.map(() => end)

/** Three snapshots. What the script was told is how far it got. */
async function script(disk: Disk, told: { end: number }): Promise<void> {
  const { ledger } = await open(disk)
  for (const end of [10, 20, 30]) {
    await grow(ledger, end)
    told.end = end
  }
}

test('a power cut before any change leaves the last snapshot that was confirmed, or a later one, whole', async () => {
  const whole = new CrashDisk()
  await script(whole, { end: 0 })
  const found = new Set<string>()
  for (let crashBefore = 1; crashBefore <= whole.changes; crashBefore++) {
    for (let seed = 0; seed < 20; seed++) {
      const disk = new CrashDisk({ crashBefore, seed })
      const told = { end: 0 }
      await disk.run(() => script(disk, told))
      const after = disk.restart({ seed })
      const { upTo, damage, ends } = await open(after)
      const context = `seed ${seed}: ${disk.trace.join(', ')}`
      expect(damage, context).toEqual([])
      expect(ends, context).toEqual(all(ends[0]!))
      expect(ends[0], context).toBeGreaterThanOrEqual(told.end)
      expect(upTo?.offset ?? 0, context).toBe(ends[0])
      found.add(`${told.end} ${ends[0]}`)
      // And so again: the next snapshot is as safe as the first.
      const next = after.restart({ crashBefore: 1 + (seed % 9), seed })
      const { ledger } = await open(next)
      await next.run(() => grow(ledger, 40))
      const last = await open(next.restart({ seed: seed + 1 }))
      expect(last.damage, context).toEqual([])
      expect([all(40), ends], `${context}; ${next.trace.join(', ')}`).toContainEqual(last.ends)
    }
  }
  expect(found.size).toBeGreaterThan(5)
})

test.for(['ENOSPC', 'EIO'])('%s at any change fails one snapshot, and nothing is lost', async (code) => {
  const whole = new CrashDisk()
  await script(whole, { end: 0 })
  for (let failing = 1; failing <= whole.changes; failing++) {
    const disk = new CrashDisk({ seed: failing, fault: ({ number }) => (number === failing ? code : undefined) })
    const told = { end: 0 }
    await expect(script(disk, told)).rejects.toMatchObject({ code })
    for (const survives of ['nothing', 'some'] as const) {
      const { ends, damage } = await open(disk.restart({ survives, seed: failing }))
      expect(damage).toEqual([])
      expect(ends[0], disk.trace.join(', ')).toBeGreaterThanOrEqual(told.end)
    }
  }
})

test('a flipped bit costs the source it lies in what it gained since the snapshot before', async () => {
  const sound = new CrashDisk()
  await script(sound, { end: 0 })
  const length = (sound.look(path) as Buffer).length
  const seen = new Set<string>()
  for (let at = 0; at < length; at++) {
    const disk = sound.kill()
    disk.damage(path, at, 1 << (at % 8))
    const { ends, upTo, damage } = await open(disk)
    expect(damage).toHaveLength(1)
    // One source is as it was in the snapshot before, or two where a line feed is hit; the rest is as it was.
    expect(ends.filter((end) => end === 30).length, `byte ${at}`).toBeGreaterThanOrEqual(2)
    for (const end of ends) expect([20, 30]).toContain(end)
    // The log is booked again from the snapshot before, as far as it is there.
    expect(upTo).toEqual({ segment: 1, offset: 20 })
    expect(disk.look(`${path}.damaged`)).toEqual(disk.look(path))
    seen.add(ends.join())
    disk.damage(path, at, 1 << (at % 8))
  }
  expect(seen.size).toBeGreaterThan(4)
})

test('a ledger cut off anywhere is mended from the snapshot before', async () => {
  for (const keep of [0, 1, 50, 400, 900]) {
    const disk = new CrashDisk()
    await script(disk, { end: 0 })
    await (await disk.open(path, 'update')).truncate(keep)
    const { ends, damage } = await open(disk)
    expect(damage).toHaveLength(1)
    for (const end of ends) expect([20, 30]).toContain(end)
    expect((await open(disk)).damage).toHaveLength(1)
  }
})

test('without a snapshot before, damage costs the sources it lies in, and the whole log is booked again', async () => {
  const disk = new CrashDisk()
  await grow((await open(disk)).ledger, 10)
  disk.damage(path, 200, 1)
  const { ends, upTo, damage } = await open(disk)
  expect(damage).toEqual(['1 damaged lines, 3 of 4 sources'])
  expect(ends.filter((end) => end === 10)).toHaveLength(3)
  expect(upTo).toBeUndefined()
})

test('a ledger that a newer version wrote is refused, not thrown away', async () => {
  const disk = new CrashDisk()
  const file = await disk.open(path, 'create')
  const json = JSON.stringify({ format: 'tributary-ledger', version: 2, upTo: '1:1' })
  await file.write(Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}\n`), 0)
  await expect(open(disk)).rejects.toThrow('version 2, this program reads version 1')
})

test('a chunk admitted while a snapshot is being written is not in it before it is durable', async () => {
  const disk = new CrashDisk()
  const { ledger } = await open(disk)
  for (let i = 0; i < 1200; i++) {
    const source = Buffer.alloc(16)
    source.writeUInt32BE(i)
    ledger.confirm(ledger.admit({ ...header(0, 10), source }, 1, () => 1))
  }
  const last = Buffer.alloc(16)
  last.writeUInt32BE(1199)
  const snapshot = ledger.snapshot({ segment: 1, offset: 1 })
  await new Promise((resolve) => setImmediate(resolve))
  ledger.admit({ ...header(0, 20), source: last }, 1, () => 1)
  await snapshot
  const { ledger: found } = await open(disk)
  expect(found.size).toBe(1200)
  expect(found.ranges(last)).toEqual([[0, 10]])
})
