import { pino } from 'pino'
import { expect, test } from 'vitest'
import { AnnotationProblems } from './annotation-problems.ts'
import type { AnnotationProblem } from './annotations.ts'

const problem = (changed: Partial<AnnotationProblem> = {}): AnnotationProblem => ({
  reason: 'bad_value',
  namespace: 'shop',
  pod: 'web-1',
  annotation: 'tributary.io/sample',
  value: '2',
  cure: 'write a share',
  ...changed,
})

function problems() {
  const counted: string[] = []
  const logged: Record<string, unknown>[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  return { counted, logged, told: new AnnotationProblems(log, { inc: (_, reason) => counted.push(reason) }) }
}

test('each is counted and logged once for all pods of a workload', () => {
  const { counted, logged, told } = problems()
  for (const pod of ['web-1', 'web-2', 'web-1']) told.tell([problem({ pod })], { name: 'web' })
  expect(counted).toEqual(['bad_value'])
  expect(logged).toMatchObject([{ annotation: 'tributary.io/sample', value: '2', pod: 'web-1', cure: 'write a share' }])
})

test('another value, another annotation and another bare pod are others', () => {
  const { counted, told } = problems()
  told.tell([problem(), problem({ value: '3' }), problem({ annotation: 'x', reason: 'unknown_annotation' })], undefined)
  told.tell([problem({ pod: 'web-2' })], undefined)
  expect(counted).toEqual(['bad_value', 'bad_value', 'unknown_annotation', 'bad_value'])
})

test('what was told is remembered only so far', () => {
  const { counted, told } = problems()
  for (let value = 0; value < 1001; value++) told.tell([problem({ value: `${value}` })], undefined)
  told.tell([problem({ value: '1000' })], undefined)
  expect(counted).toHaveLength(1001)
  told.tell([problem({ value: '0' })], undefined)
  expect(counted).toHaveLength(1002)
})
