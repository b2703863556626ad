import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Journal } from '../diagnosis/journal.ts'
import { CollectorMetrics } from '../metrics.ts'
import { InputProblems } from './input-problems.ts'

test.for([
  ['EACCES', 'unreadable', "containers' logs belong to root"],
  ['EIO', 'unreadable', 'a log cannot be read; the others are'],
  ['Z_DATA_ERROR', 'corrupt_gzip', 'a log cannot be read; the others are'],
])('%s is told once, as %s, with what helps', ([code, reason, said]) => {
  const lines: string[] = []
  const metrics = new CollectorMetrics()
  const problems = new InputProblems({
    journal: new Journal(),
    log: pino({}, { write: (line: string) => void lines.push(line) }),
    metrics,
  })
  for (let i = 0; i < 2; i++) problems.tellError('/logs/a.log', Object.assign(new Error('no'), { code }))
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ path: '/logs/a.log', reason, error: 'no', msg: expect.stringContaining(said!) }),
  ])
})
