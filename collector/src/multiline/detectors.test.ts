import { expect, test } from 'vitest'
import { multilineConfig } from './config.ts'
import { detectorsBy } from './detectors.ts'

const config = (value: object) => multilineConfig.parse(value)

test('names stand for joinings', async () => {
  const detectorOf = await detectorsBy(config({ patterns: { dated: { start: '^\\d{4}-' } } }), 'c.yaml')
  for (const name of ['auto', 'java', 'php', 'dated']) expect(detectorOf(name), name).toBeDefined()
  for (const name of ['off', 'cobol', '']) expect(detectorOf(name), name).toBeUndefined()
})

test('without languages nothing is joined by itself, yet a language can be named', async () => {
  const detectorOf = await detectorsBy(config({ languages: [] }), 'c.yaml')
  expect(detectorOf('auto')).toBeUndefined()
  expect(detectorOf('ruby')).toBeDefined()
})

test('a line that matches the start pattern begins a record, within its first KiB', async () => {
  const detectorOf = await detectorsBy(
    config({ patterns: { dated: { start: '^\\d{4}-' }, late: { start: 'START' } } }),
    'c.yaml',
  )
  const goesOn = (name: string, line: string) => {
    const bytes = Buffer.from(`x${line}x`)
    return detectorOf(name)!.next(1, bytes, 1, bytes.length - 1) !== 0
  }
  expect(goesOn('dated', '2026-11-23 next')).toBe(false)
  expect(goesOn('dated', ' 2026-11-23 within')).toBe(true)
  expect(goesOn('dated', '')).toBe(true)
  expect(goesOn('late', `${' '.repeat(1000)}START`)).toBe(false)
  expect(goesOn('late', `${' '.repeat(1024)}START`)).toBe(true)
})

test('a wrong pattern is named by its key', async () => {
  await expect(detectorsBy(config({ patterns: { dated: { start: '(' } } }), 'c.yaml')).rejects.toThrow(
    'c.yaml: multiline.patterns.dated.start: ',
  )
})
