import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Load } from './load.ts'
import { Tally } from './tally.ts'

let out: string
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'tributary-load-'))
})
afterEach(() => rmSync(out, { recursive: true, force: true }))

/** The texts of all lines of all files. */
function readBack(): Buffer[] {
  const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.flatMap(({ parentPath, name }) => {
    const text = readFileSync(join(parentPath, name), 'utf8')
    return text.match(/(?<= F ).*(?=\n)/g)!.map((line) => Buffer.from(line))
  })
}

test('all lines of a load, rotated and with stack traces, are counted; one that is missing, doubled or cut is told', () => {
  const load = new Load({ out, containers: 3, traceEvery: 5, rotateBytes: 4096, keep: 100 })
  for (let i = 0; i < 30; i++) load.write(i % 3, 10)
  load.close()
  const lines = readBack()
  expect(lines).toHaveLength(load.lines)
  expect(lines.filter((line) => line[0] === 9).length).toBeGreaterThan(50)
  const whole = new Tally()
  whole.add(Buffer.from(lines.join('\n')))
  expect(whole.verdict(load.written)).toEqual({ lines: load.lines, records: 1, lost: 0, doubled: 0, foreign: 0 })
  const broken = new Tally()
  for (const line of [...lines.slice(2), lines[5]!, lines[6]!.subarray(0, -1), Buffer.from('else')]) broken.add(line)
  expect(broken.verdict(load.written)).toMatchObject({ lost: 2, doubled: 1, foreign: 2 })
})
