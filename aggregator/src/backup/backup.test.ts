import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BackupError, type BackupParts, Backups } from './backup.ts'
import { imageDirectory } from './image.ts'

let dataDir: string
let calls: string[]

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'tributary-backup-'))
  calls = []
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

/** A directory that has nothing yet but what an aggregator makes first; `over` replaces what it works with. */
function parts(over: Partial<BackupParts> = {}): BackupParts {
  const step = (name: string) => {
    return async <T>(work: () => Promise<T>): Promise<T> => {
      calls.push(name)
      const done = await work()
      calls.push(`end of ${name}`)
      return done
    }
  }
  return {
    dataDir,
    committed: () => ({ segment: 0, offset: 0 }),
    keepingRows: step('keeping rows'),
    keepingLedger: step('keeping the ledger'),
    loader: {
      hold: async () => void calls.push('hold'),
      go: () => {
        calls.push('go')
        return true
      },
    },
    ...over,
  }
}

test('a directory that is none is an error; the loader goes on, and nothing is left', async () => {
  await expect(new Backups().take(parts())).rejects.toThrow('ENOENT')
  expect(calls).toEqual(['keeping rows', 'hold', 'keeping the ledger', 'go'])
  expect(readdirSync(dataDir)).not.toContain(imageDirectory)
})

test('a loader that ends before it is held means no backup', async () => {
  const hold = () => Promise.reject(new Error("the loader's thread ended"))
  const backup = new Backups().take(parts({ loader: { hold, go: () => true } }))
  await expect(backup).rejects.toThrow(BackupError)
  await expect(backup).rejects.toThrow('no backup can be made now')
})

test('a loader that was started anew meanwhile may have loaded: no backup, and nothing is left', async () => {
  mkdirSync(join(dataDir, 'wal'))
  mkdirSync(join(dataDir, 'store', 'data'), { recursive: true })
  const backup = new Backups().take(parts({ loader: { hold: async () => {}, go: () => false } }))
  await expect(backup).rejects.toThrow('try again')
  expect(readdirSync(dataDir)).not.toContain(imageDirectory)
})

test('one backup at a time; the next may follow when the first was read, or nobody reads it any more', async () => {
  mkdirSync(join(dataDir, 'wal'))
  mkdirSync(join(dataDir, 'store', 'data'), { recursive: true })
  const backups = new Backups()
  const first = await backups.take(parts())
  await expect(backups.take(parts())).rejects.toThrow('a backup is being made')
  first.archive.destroy()
  await expect.poll(() => readdirSync(dataDir)).not.toContain(imageDirectory)
  const second = await backups.take(parts())
  for await (const _ of second.archive) _ satisfies unknown
  await expect.poll(() => readdirSync(dataDir)).not.toContain(imageDirectory)
})
