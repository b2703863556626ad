import { ClickHouseError } from '@clickhouse/client'
import { expect, test } from 'vitest'
import { retryDelay, StoreError, storeErrorCodes, storeErrorFrom, treatmentOf } from './error.ts'

const of = (code: string, message = 'no') => storeErrorFrom(new ClickHouseError({ code, message }), false)

test.for([
  ['252', 'TOO_MANY_PARTS', 'too_many_parts'],
  ['202', 'TOO_MANY_SIMULTANEOUS_QUERIES', 'busy'],
  ['201', 'QUOTA_EXCEEDED', 'busy'],
  ['241', 'MEMORY_LIMIT_EXCEEDED', 'memory'],
  ['242', 'TABLE_IS_READ_ONLY', 'read_only'],
  ['225', 'NO_ZOOKEEPER', 'keeper'],
  ['999', 'KEEPER_EXCEPTION', 'keeper'],
  ['285', 'TOO_FEW_LIVE_REPLICAS', 'quorum'],
  ['319', 'UNKNOWN_STATUS_OF_INSERT', 'quorum'],
  ['243', 'NOT_ENOUGH_SPACE', 'full'],
  ['210', 'NETWORK_ERROR', 'unavailable'],
  ['159', 'TIMEOUT_EXCEEDED', 'timeout'],
] as const)('%s %s is %s, and tried again', ([number, , code]) => {
  expect(of(number)).toMatchObject({ code, retryable: true, clickhouseCode: Number(number) })
})

test.for([
  ['60', 'UNKNOWN_TABLE'],
  ['164', 'READONLY: a user who may not change anything'],
  ['497', 'ACCESS_DENIED'],
  ['516', 'AUTHENTICATION_FAILED'],
] as const)('%s %s is rejected', ([number]) => expect(of(number)).toMatchObject({ code: 'rejected', retryable: false }))

test('a full disk is one whichever number it carries', () => {
  expect(of('75', 'Cannot write to file, errno: 28, No space left on device')).toMatchObject({ code: 'full' })
})

test('what is no answer of the store, such as that of a proxy before it, says nothing about the outcome', () => {
  expect(storeErrorFrom(new Error('<html>502 Bad Gateway</html>'), false)).toMatchObject({
    code: 'unavailable',
    retryable: true,
  })
})

test('the wait before a repetition doubles, up to a longest of its own for each reason', () => {
  expect([1, 2, 3, 4].map((failures) => retryDelay('too_many_parts', failures, 1))).toEqual([1000, 2000, 4000, 8000])
  expect(retryDelay('too_many_parts', 1000, 1)).toBe(60_000)
  expect(retryDelay('unavailable', 1000, 1)).toBe(5000)
  for (const code of storeErrorCodes) {
    for (const failures of [1, 7, 5000]) {
      const [soonest, latest] = [retryDelay(code, failures, 0), retryDelay(code, failures, 1)]
      expect(soonest).toBe(latest * 0.75)
      expect(latest).toBeLessThanOrEqual(treatmentOf(code).wait[1])
    }
  }
})

test('only what may be different elsewhere is asked elsewhere', () => {
  const elsewhere = storeErrorCodes.filter((code) => treatmentOf(code).elsewhere)
  expect(elsewhere).toEqual(['unavailable', 'busy', 'read_only', 'keeper', 'quorum'])
  expect(new StoreError('quorum', '').retryable).toBe(true)
})
