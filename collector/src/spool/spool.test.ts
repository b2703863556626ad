import type { Disk } from '@tributary/protocol/disk.ts'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CrashDisk, type CrashDiskOptions } from '../../../test/harness/crash-disk.ts'
import type { LogFile } from '../tail/log-file.ts'
import { Spool, type Unsaved } from './spool.ts'
import { blockBytes, formatSpoolName, parseSpoolName, SpoolDamage, type SpoolHeader } from './spool-format.ts'

const directory = '/state/spool'
const never = new AbortController().signal
const log = pino({ level: 'silent' })

function countingMetrics() {
  const errors: string[] = []
  const gauge = { value: 0, set: (value: number) => (gauge.value = value) }
  const spooled = { value: 0, inc: (by: number) => (spooled.value += by) }
  const spoolErrors = { inc: (_: number, reason: string) => errors.push(reason) }
  return { errors, gauge, spooled, metrics: { spoolBytes: gauge, spooledBytes: spooled, spoolErrors } as never }
}

function open(disk: Disk, limit = 1 << 30, freeShare = async () => 0.5) {
  const { metrics, ...counted } = countingMetrics()
  return Spool.open({ disk, directory, limit, log, metrics, freeShare }).then((spool) => ({ spool, ...counted }))
}

/** A log file's bytes in memory. */
class MemoryFile implements LogFile {
  readonly gzip = false
  readonly start = 0
  readonly #bytes: Buffer
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  stat(): never {
    throw new Error('not asked for')
  }
  read(into: Buffer, at: number, length: number, position: number): number {
    return this.#bytes.copy(into, at, position, Math.min(this.#bytes.length, position + length))
  }
  close(): void {}
}

function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    // Half of it compresses.
    bytes[i] = (i >> 10) % 2 === 0 ? state >>> 24 : 0x61 + (i % 7)
  }
  return bytes
}

function unsavedOf(bytes: Buffer, from: number, source = 'ab'.repeat(16)): Unsaved {
  const header: SpoolHeader = {
    source,
    first: Math.max(0, from - 64),
    format: 'cri',
    path: '/var/log/pods/a_b_c/d/0.log',
    log: { directory: '/var/log/pods/a_b_c/d', identity: { namespace: 'a', pod: 'b', uid: 'c', container: 'd' } },
    name: { restart: 0, rotation: '.20261123-000000', lasting: true },
    head: bytes.subarray(0, 100).toString('base64'),
    truncations: 0,
    modifiedMs: 5,
    seconds: 6,
    nanoseconds: 7,
    labels: { pod: 'b' },
    metadata: {},
    partial: false,
  }
  return { header, from, size: bytes.length, file: new MemoryFile(bytes) }
}

/** What can be read from `first` on, in pieces, and where damage was met. */
async function readAll(file: LogFile, first: number, piece = 100_000): Promise<{ bytes: Buffer; damage?: number }> {
  const parts: Buffer[] = []
  let damage: number | undefined
  for (let position = first; ; ) {
    const into = Buffer.alloc(piece)
    let n = 0
    try {
      n = await file.read(into, 0, piece, position)
    } catch (error) {
      if (!(error instanceof SpoolDamage) || damage !== undefined) throw error
      damage = error.from!.offset
      continue
    }
    if (n === 0) return { bytes: Buffer.concat(parts), ...(damage === undefined ? {} : { damage }) }
    parts.push(into.subarray(0, n))
    position += n
  }
}

test('what was saved is read at any position as it was, together with its head', async () => {
  const run = fc.record({
    length: fc.integer({ min: 200, max: 3 * blockBytes }),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    reads: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 300_000 })), {
      maxLength: 6,
    }),
  })
  await fc.assert(
    fc.asyncProperty(run, async ({ length, from, reads }) => {
      const bytes = bytesOf(length, length)
      const { spool, spooled } = await open(new CrashDisk())
      const start = Math.floor(from * length)
      const saved = (await spool.save(unsavedOf(bytes, start), never))!
      expect(spooled.value).toBe(length - start)
      expect([saved.from, saved.end]).toEqual([start, length])
      const file = spool.file(saved)
      const first = Math.max(0, start - 64)
      for (const [at, count] of reads) {
        const position = first + Math.floor(at * (length - first))
        const into = Buffer.alloc(count + 3)
        const n = await file.read(into, 3, count, position)
        expect(n).toBe(Math.min(count, length - position))
        expect(into.subarray(3, 3 + n).equals(bytes.subarray(position, position + n))).toBe(true)
      }
      const head = Buffer.alloc(100)
      expect(await file.read(head, 0, 100, 0)).toBe(100)
      expect(head.equals(bytes.subarray(0, 100))).toBe(true)
    }),
    { numRuns: 40 },
  )
})

const contents = [1, 2, 3].map((seed) => bytesOf(seed * 0.7 * blockBytes, seed))

/** Saves three sources and removes the first. */
async function script(disk: Disk, confirm: { saved(i: number): void; removing(i: number): void }): Promise<void> {
  await disk.mkdir('/state')
  await disk.syncDirectory('/')
  const { spool } = await open(disk)
  for (const [i, bytes] of contents.entries()) {
    const saved = await spool.save(unsavedOf(bytes, 10, `0${i}`.repeat(16)), never)
    if (saved) confirm.saved(i)
    if (i !== 1 || !spool.bytes) continue
    confirm.removing(i)
    if (saved) await spool.remove(saved)
  }
}

test('a power cut before any operation leaves every confirmed source whole, and of others all or nothing', async () => {
  const whole = new CrashDisk()
  await script(whole, { saved: () => {}, removing: () => {} })
  expect(whole.changes).toBeGreaterThan(20)
  let found = 0
  for (let crashBefore = 1; crashBefore <= whole.changes + 1; crashBefore++) {
    for (let seed = 0; seed < 8; seed++) {
      const confirmed = new Set<number>()
      const disk = new CrashDisk({ seed, crashBefore })
      await disk.run(() => script(disk, { saved: (i) => confirmed.add(i), removing: (i) => void confirmed.delete(i) }))
      const after = disk.restart({ seed })
      const { spool, errors } = await open(after)
      const message = `crash before ${crashBefore}, seed ${seed}: ${disk.trace.join(' → ')}`
      expect(errors, message).toEqual([])
      for (const one of spool.found) {
        const i = Number(one.source[1])
        confirmed.delete(i)
        expect((await readAll(spool.file(one), 0)).bytes.equals(contents[i]!), message).toBe(true)
        found++
      }
      expect([...confirmed], message).toEqual([])
      expect(
        (after.look(directory) as string[]).filter((name) => name.endsWith('.tmp')),
        message,
      ).toEqual([])
    }
  }
  expect(found).toBeGreaterThan(30)
})

test('a disk that fails anywhere costs what was being saved, and no room', async () => {
  const script = async (disk: CrashDisk) => {
    const { spool, errors } = await open(disk)
    const saved = await spool.save(unsavedOf(contents[0]!, 10), never)
    return { spool, saved, errors }
  }
  const whole = new CrashDisk()
  await script(whole)
  for (let failing = 1; failing <= whole.changes; failing++) {
    for (const code of ['ENOSPC', 'EIO']) {
      const fault: CrashDiskOptions['fault'] = ({ number }) => (number === failing ? code : undefined)
      const disk = new CrashDisk({ seed: failing, fault })
      const { spool, saved, errors } = await script(disk)
      const message = `${code} at ${disk.trace[failing - 1]}`
      expect(saved, message).toBeUndefined()
      expect(errors[0], message).toBe(code === 'ENOSPC' ? 'full' : 'failed')
      expect(spool.bytes, message).toBe(0)
      expect(disk.look(directory) ?? [], message).toEqual([])
    }
  }
})

const damageable = async () => {
  const disk = new CrashDisk()
  const { spool } = await open(disk)
  const saved = (await spool.save(unsavedOf(contents[2]!, 100), never))!
  const path = `${directory}/${formatSpoolName(saved)}`
  return { disk, spool, saved, path, size: (disk.look(path) as Buffer).length }
}

test('a flipped bit anywhere is noticed: what is before it is read, and what is behind it known by range', async () => {
  const { size } = await damageable()
  let inHeader = 0
  for (let at = 0; at < size; at += at < 1200 ? 7 : 4001) {
    const { disk, path, saved } = await damageable()
    disk.damage(path, at, 4)
    const { spool, errors } = await open(disk)
    if (spool.found.length === 0) {
      inHeader++
      expect(spool.damaged, `byte ${at}`).toMatchObject([{ source: saved.source, from: 100, end: saved.end }])
      expect(disk.look(directory)).toEqual([`${formatSpoolName(saved)}.damaged`])
      expect(errors).toEqual(['damaged'])
      continue
    }
    const { bytes, damage } = await readAll(spool.file(spool.found[0]!), 36)
    expect(damage, `byte ${at}`).toBe(36 + bytes.length)
    expect((damage! - 36) % blockBytes).toBe(0)
    expect(bytes.equals(contents[2]!.subarray(36, damage))).toBe(true)
  }
  expect(inHeader).toBeGreaterThan(50)
})

test('a file that is cut off is read up to where it is whole', async () => {
  for (const share of [0.1, 0.5, 0.99]) {
    const { disk, spool, saved, path, size } = await damageable()
    const file = await disk.open(path, 'update')
    await file.truncate(Math.floor(size * share))
    const { bytes, damage } = await readAll(spool.file(saved), 36)
    expect(damage).toBe(36 + bytes.length)
    expect(damage).toBeLessThan(saved.end)
    expect(bytes.equals(contents[2]!.subarray(36, damage))).toBe(true)
  }
})

test('neither the budget nor the last of the disk is used up; what does not fit leaves nothing behind', async () => {
  const bytes = bytesOf(600_000, 9)
  const one = await open(new CrashDisk())
  const size = (await one.spool.save(unsavedOf(bytes, 0), never))!.bytes
  expect(one.gauge.value).toBe(size)
  for (const [limit, free, fits] of [
    [2 * size, 0.06, 2],
    [2 * size - 1, 0.06, 1],
    [size - 1, 0.06, 0],
    [0, 0.06, 0],
    [2 * size, 0.04, 0],
  ] as const) {
    const disk = new CrashDisk()
    const { spool, errors, gauge } = await open(disk, limit, async () => free)
    for (let i = 0; i < 2; i++) await spool.save(unsavedOf(bytes, 0, `0${i}`.repeat(16)), never)
    expect(spool.bytes).toBe(fits * size)
    expect(gauge.value).toBe(fits * size)
    expect((disk.look(directory) as string[]).length).toBe(fits)
    expect(errors).toEqual(Array(2 - fits).fill('full'))
    expect(spool.mayHold(bytes.length)).toBe(limit > 0 && fits * size + bytes.length / 20 <= limit)
  }
})

test('a signal ends a copy, and nothing is left of it', async () => {
  const disk = new CrashDisk()
  const { spool } = await open(disk)
  const stop = new AbortController()
  const saving = spool.save(unsavedOf(contents[2]!, 0), stop.signal)
  stop.abort()
  expect(await saving).toBeUndefined()
  expect(disk.look(directory)).toEqual([])
  expect(spool.bytes).toBe(0)
})

test('names tell source and range, and nothing else is one', () => {
  const name = { sequence: 7, source: 'ab'.repeat(16), from: 3, end: 2 ** 40 }
  expect(parseSpoolName(formatSpoolName(name))).toEqual(name)
  const formatted = formatSpoolName(name)
  for (const other of [`${formatted}.damaged`, `x${formatted}`, '7.tmp', formatSpoolName({ ...name, end: 2 })])
    expect(parseSpoolName(other), other).toBeUndefined()
})
