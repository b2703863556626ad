import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GzipFile, PlainFile } from './log-file.ts'

const content = Buffer.alloc(700_000)
for (let i = 0, state = 1; i < content.length; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  content[i] = (i >> 12) % 2 === 0 ? state >>> 24 : 0x61
}
let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-files-'))
  writeFileSync(join(directory, 'plain'), content)
  // Two members, as a program that appends to a compressed file makes them.
  writeFileSync(
    join(directory, 'gzip'),
    Buffer.concat([gzipSync(content.subarray(0, 300_000)), gzipSync(content.subarray(300_000))]),
  )
})
afterAll(() => rmSync(directory, { recursive: true }))

const reads = fc.array(
  fc.record({
    position: fc.integer({ min: 0, max: content.length + 1000 }),
    length: fc.integer({ min: 0, max: 300_000 }),
    at: fc.nat(100),
    rests: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  { maxLength: 6 },
)

test('bytes are read at any position, forwards and backwards, plain or compressed', async () => {
  await fc.assert(
    fc.asyncProperty(reads, fc.boolean(), async (sequence, gzip) => {
      const file = gzip ? new GzipFile(join(directory, 'gzip')) : new PlainFile(join(directory, 'plain'))
      for (const { position, length, at, rests } of sequence) {
        if (rests && file instanceof GzipFile) file.rest()
        const into = Buffer.alloc(at + length)
        const n = await file.read(into, at, length, position)
        expect(n).toBe(Math.max(0, Math.min(length, content.length - position)))
        expect(into.subarray(at, at + n).equals(content.subarray(position, position + n))).toBe(true)
      }
      file.close()
    }),
    { numRuns: 60 },
  )
})

test('what is no gzip, and not all of it, is told as zlib tells it', async () => {
  const path = join(directory, 'cut')
  for (const [bytes, code] of [
    [gzipSync(content).subarray(0, 90_000), 'Z_BUF_ERROR'],
    [Buffer.from('no gzip at all, but long enough'), 'Z_DATA_ERROR'],
  ] as const) {
    writeFileSync(path, bytes)
    const file = new GzipFile(path)
    const all = (async () => {
      for (let position = 0; ; ) {
        const n = await file.read(Buffer.alloc(100_000), 0, 100_000, position)
        if (n === 0) return
        position += n
      }
    })()
    await expect(all).rejects.toMatchObject({ code })
    file.close()
  }
})
