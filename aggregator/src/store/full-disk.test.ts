/** A disk that becomes full while rows are written: what the engine takes for stored is there. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { tryTmpfs } from '../../../test/harness/disk.ts'
import { randomFrom } from '../../../test/harness/random.ts'
import { StoreError } from './error.ts'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import { openTestStore, quietLog, rowStream, type TestStore } from './test-store.ts'

const rowsOfBlock = 1000

function block(number: number): LogBlock {
  const made = new LogBlock()
  made.setStream(rowStream({ source: Buffer.alloc(16, 7) }))
  for (let i = 0; i < rowsOfBlock; i++) {
    const line = Buffer.from(`line ${i} of block ${number}`)
    made.add(1_790_000_000, i, number * rowsOfBlock + i, '', line, 0, line.length)
  }
  return made
}

/** @returns what went wrong */
async function insert({ client }: TestStore, number: number): Promise<unknown> {
  const made = block(number)
  try {
    await client.insertNative('logs', made.columns, made.encode(), `b${number}`)
    return undefined
  } catch (error) {
    return error
  }
}

/** Takes all room there is, at once. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (let piece = Buffer.alloc(1 << 18); piece.length > 0; piece = piece.subarray(piece.length >> 1)) {
      try {
        for (;;) writeSync(file, piece)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
      if (piece.length === 1) break
    }
  } finally {
    closeSync(file)
  }
}

test('blocks that are written while the disk becomes full are stored once, and whole', {
  timeout: 180_000,
}, async (context) => {
  const root = await mkdtemp(join(tmpdir(), 'tributary-full-'))
  try {
    const volume = join(root, 'volume')
    using disk = tryTmpfs(volume, '32m')
    if (disk === undefined) return context.skip('needs the right to mount a tmpfs')
    await using opened = await openTestStore(join(volume, 'store'))
    await migrate(opened.client, quietLog)
    const filler = join(volume, 'filler')
    const random = randomFrom(1)
    let broken = 0
    let number = 0
    // The engine has room for a block when it begins, and none when it goes on: one in ten or so comes out broken.
    for (; number < 150 && broken < 3; number++) {
      const inserting = insert(opened, number)
      await sleep(random(40))
      fill(filler)
      const error = await inserting
      if (error instanceof StoreError && error.code === 'unavailable') broken++
      await rm(filler)
      await expect.poll(() => insert(opened, number), { timeout: 30_000 }).toBeUndefined()
    }
    const { rows } = await opened.client.query(
      'SELECT count() AS n, uniqExact(offset) AS offsets, min(length(line)) > 0 AS whole FROM logs',
    )
    const all = String(number * rowsOfBlock)
    expect(rows).toEqual([{ n: all, offsets: all, whole: 1 }])
    expect(broken).toBeGreaterThan(0)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})
