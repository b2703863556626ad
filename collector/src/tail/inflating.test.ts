import { expect, test } from 'vitest'
import { noDetectors } from './cutter.ts'
import { Generation } from './generation.ts'
import { Inflating } from './inflating.ts'

function compressed(name = { restart: 0, rotation: '.20261123-000000', gzip: true, lasting: true }): Generation {
  const generation = new Generation(
    {
      id: Buffer.alloc(16),
      name,
      path: '/0.log',
      identity: { dev: 1, ino: 2, truncations: 0, head: 0 },
      format: 'cri',
      treatment: { stream: { labels: {}, metadata: {} }, detectors: noDetectors, filter: undefined, partial: false },
      // Looked at, not read.
      file: { gzip: name.gzip } as Generation['file'],
      size: 0,
      modifiedMs: 0,
      checkpoint: undefined,
    },
    0,
  )
  generation.state = 'reading'
  return generation
}

test('so many compressed files are read at a time, each to its end; others wait their turn', () => {
  const inflating = new Inflating()
  const files = Array.from({ length: 6 }, () => compressed())
  const admitted = (now: number) => files.map((one) => inflating.admit(one, now))
  expect(admitted(0)).toEqual([true, true, true, true, false, false])
  expect(admitted(4000)).toEqual([true, true, true, true, false, false])
  files[1]!.state = 'done'
  expect(admitted(4001)).toEqual([true, true, true, true, true, false])
  files[0]!.file = undefined
  expect(inflating.admit(files[5]!, 4002)).toBe(true)
})

test('a place without a turn for five seconds is another file’s', () => {
  const inflating = new Inflating()
  const [idle, ...busy] = Array.from({ length: 4 }, () => compressed())
  const waiting = compressed()
  for (const one of [idle!, ...busy]) inflating.admit(one, 0)
  for (const one of busy) inflating.admit(one, 4999)
  expect(inflating.admit(waiting, 4999)).toBe(false)
  expect(inflating.admit(waiting, 5000)).toBe(true)
  expect(inflating.admit(idle!, 5000)).toBe(false)
})

test('files that are not compressed are not counted', () => {
  const inflating = new Inflating()
  for (let i = 0; i < 9; i++)
    expect(inflating.admit(compressed({ restart: 0, rotation: '', gzip: false, lasting: false }), 0)).toBe(true)
})
