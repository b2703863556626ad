import type { Disk } from '@tributary/protocol/disk.ts'
import { expect, test } from 'vitest'
import { CrashDisk } from '../../../test/harness/crash-disk.ts'
import {
  type Checkpoint,
  decodeCheckpoints,
  encodeCheckpoints,
  loadCheckpoints,
  saveCheckpoints,
} from './checkpoint-file.ts'

const path = '/state/checkpoints'
const checkpoint = (offset: number): Checkpoint => ({
  source: 'ab'.repeat(16),
  path: '/var/log/pods/a_b_c/d/0.log',
  offset,
  seen: offset + 5,
  done: false,
  dev: 1,
  ino: 2,
  truncations: 0,
  head: 3,
  tail: [4, 5],
})

/** Saves growing offsets; what was confirmed last. */
async function script(disk: Disk, confirm: (offset: number) => void): Promise<void> {
  await disk.mkdir('/state')
  await disk.syncDirectory('/')
  for (let offset = 1; offset <= 4; offset++) {
    await saveCheckpoints(disk, path, encodeCheckpoints({ checkpoints: [checkpoint(offset)], ledger: 'l' }))
    confirm(offset)
  }
}

test('a power cut before any operation leaves the last confirmed checkpoints, or the next, whole', async () => {
  const whole = new CrashDisk()
  await script(whole, () => {})
  expect(whole.changes).toBeGreaterThan(20)
  for (let crashBefore = 1; crashBefore <= whole.changes + 1; crashBefore++) {
    for (let seed = 0; seed < 12; seed++) {
      let confirmed = 0
      const disk = new CrashDisk({ seed, crashBefore })
      await disk.run(() =>
        script(disk, (offset) => {
          confirmed = offset
        }),
      )
      const loaded = await loadCheckpoints(disk.restart({ seed }), path)
      const message = `crash before ${crashBefore}, seed ${seed}: ${disk.trace.join(' → ')}`
      expect(loaded.damaged, message).toBeUndefined()
      const [found] = loaded.checkpoints
      expect([confirmed, confirmed + 1], message).toContain(found?.offset ?? 0)
      if (found) expect(loaded, message).toMatchObject({ checkpoints: [checkpoint(found.offset)], ledger: 'l' })
    }
  }
})

test('a disk that fails anywhere costs a save, never the file', async () => {
  for (let failing = 1; failing <= 40; failing++) {
    const disk = new CrashDisk({ seed: failing, fault: ({ number }) => (number === failing ? 'ENOSPC' : undefined) })
    let confirmed = 0
    const run = () =>
      script(disk, (offset) => {
        confirmed = offset
      })
    await run().catch(() => undefined)
    const loaded = await loadCheckpoints(disk.restart({ seed: failing }), path)
    expect(loaded.damaged).toBeUndefined()
    expect(loaded.checkpoints[0]?.offset ?? 0).toBeGreaterThanOrEqual(confirmed)
  }
})

test('a flipped bit anywhere is noticed, and the file set aside', async () => {
  const sound = encodeCheckpoints({ checkpoints: [checkpoint(1), checkpoint(2)], ledger: 'l' })
  for (let at = 0; at < sound.length; at += 3) {
    const bytes = Buffer.from(sound)
    bytes[at]! ^= 4
    expect(() => decodeCheckpoints(bytes), `byte ${at}`).toThrow()
  }
  const disk = new CrashDisk()
  await disk.mkdir('/state')
  await saveCheckpoints(disk, path, sound)
  disk.damage(path, 60, 1)
  const loaded = await loadCheckpoints(disk, path)
  expect(loaded).toMatchObject({ checkpoints: [], first: false, damaged: { movedTo: `${path}.damaged` } })
})

test('a missing file is a first start; an unknown version is refused like damage', async () => {
  expect(await loadCheckpoints(new CrashDisk(), path)).toEqual({ checkpoints: [], ledger: undefined, first: true })
  const newer = encodeCheckpoints({ checkpoints: [], ledger: undefined })
    .toString()
    .replace('"version":1', '"version":2')
  expect(() => decodeCheckpoints(Buffer.from(newer))).toThrow()
})

test('a file of a collector that did not tell its ledger is read', () => {
  const older = encodeCheckpoints({ checkpoints: [checkpoint(1)], ledger: undefined })
  expect(older.toString()).not.toContain('ledger')
  expect(decodeCheckpoints(older)).toEqual({ checkpoints: [checkpoint(1)], ledger: undefined })
})

test.for([
  ['EISDIR', 'it is a directory: move it away'],
  ['EACCES', 'give the user that the collector runs as the right to read it'],
  ['EIO', "see to its disk, or move it away: the aggregator's ledger tells where to go on"],
] as const)('checkpoints that can not be read, with %s, are named, and what to do', async ([code, cure]) => {
  const disk = new CrashDisk({ seed: 1 })
  disk.readFile = () => Promise.reject(Object.assign(new Error(`${code}: no`), { code }))
  await expect(loadCheckpoints(disk, path)).rejects.toThrow(
    `the checkpoints ${path} can't be read (${code}: no); ${cure}`,
  )
})

test.each(['null', '5', '[]', '{}', JSON.stringify({ ...checkpoint(1), offset: '1' })])(
  'a file with the right checksum is damaged all the same where a line is %s',
  async (line) => {
    const content = encodeCheckpoints({ checkpoints: [JSON.parse(line)], ledger: undefined })
    const disk = new CrashDisk()
    await disk.mkdir('/state')
    await saveCheckpoints(disk, path, content)
    const { damaged } = await loadCheckpoints(disk, path)
    expect(damaged?.error.message).toContain('no checkpoint: ')
  },
)
