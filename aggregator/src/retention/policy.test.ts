import { expect, test } from 'vitest'
import { Parameters } from '../logql/sql.ts'
import { cutoffExpression, cutoffsAt, longestKept, wholly } from './policy.ts'

const hour = 3_600_000
const day = 24 * hour
const now = Date.parse('2026-11-23T12:00:00Z')
const rule = (keep: number) => ({ selector: '{}', keep })

test.for([
  { retention: 7 * day, oldest: '2026-11-16', when: 'a week, at noon: half of the 16th is still wanted' },
  { retention: 7 * day + 12 * hour, oldest: '2026-11-16', when: 'to the midnight at which the 16th begins' },
  { retention: 7 * day + 12 * hour + 1, oldest: '2026-11-15', when: 'a moment more' },
  { retention: hour, oldest: '2026-11-23', when: 'less than a day' },
  { retention: 0, oldest: '2026-11-13', when: 'for ever' },
  { retention: hour, rules: [rule(7 * day)], oldest: '2026-11-16', when: 'an hour, and by a rule a week' },
  { retention: 7 * day, rules: [rule(hour)], oldest: '2026-11-16', when: 'a week, and by a rule an hour' },
  { retention: hour, rules: [rule(hour), rule(0)], oldest: '2026-11-13', when: 'an hour, and by a rule for ever' },
])('days are kept $when', ({ retention, rules = [], oldest }) => {
  const days = Array.from({ length: 12 }, (_, i) => `2026-11-${13 + i}`)
  expect(days.find((one) => !wholly(one, { retention, rules }, now))).toBe(oldest)
})

test('rows that no rule is about go at midnights, others at the moment', () => {
  const cutoffs = cutoffsAt({ retention: 2 * day, rules: [{ ...rule(6 * hour), tenant: 'a' }, rule(0)] }, now)
  const nanos = (text: string) => `${Date.parse(text)}000000`
  expect(cutoffs).toEqual({
    rules: [
      { selector: '{}', tenant: 'a', before: nanos('2026-11-23T06:00:00Z') },
      { selector: '{}', before: '0' },
    ],
    before: nanos('2026-11-21T00:00:00Z'),
  })
  expect(longestKept({ retention: 2 * day, rules: [rule(0)] })).toBe(Number.POSITIVE_INFINITY)
})

test('nothing of a rule stands in the statement itself', () => {
  const parameters = new Parameters()
  const selector = `{namespace="a'; DROP TABLE logs --", app=~"x' OR 1=1 --"}`
  const cutoffs = { rules: [{ selector, tenant: "t'", before: '5' }], before: '6' }
  const sql = cutoffExpression(parameters, cutoffs, (name) => name)
  expect(sql).not.toMatch(/DROP|OR 1|t'/)
  expect(Object.values(parameters.statement().params)).toEqual(
    expect.arrayContaining(["t'", "a'; DROP TABLE logs --", "^(?s:x' OR 1=1 --)$", '5', '6']),
  )
})
