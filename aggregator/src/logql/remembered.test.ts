import { expect, test } from 'vitest'
import { Remembered } from './remembered.ts'

/** A store that is read by `get` and says how often. */
function reading(remembered: Remembered) {
  const state = { revision: 0 as number | undefined, reads: 0, size: 1 }
  const get = (key: string, during?: () => void) =>
    remembered.get(
      key,
      () => state.revision,
      async () => {
        during?.()
        return `${key} ${++state.reads}`
      },
      () => state.size,
    )
  return { state, get }
}

test('is read once for each key, until something is written', async () => {
  const { state, get } = reading(new Remembered())
  expect([await get('a'), await get('b'), await get('a'), await get('b')]).toEqual(['a 1', 'b 2', 'a 1', 'b 2'])
  state.revision = 1
  expect([await get('a'), await get('a')]).toEqual(['a 3', 'a 3'])
})

test('what was read while something was written is read again', async () => {
  const { state, get } = reading(new Remembered())
  expect(await get('a', () => void state.revision!++)).toBe('a 1')
  expect([await get('a'), await get('a')]).toEqual(['a 2', 'a 2'])
})

test('what an older reading brings does not stand for a newer state', async () => {
  const remembered = new Remembered()
  const { state, get } = reading(remembered)
  const begun = Promise.withResolvers<string>()
  const old = remembered.get(
    'a',
    () => state.revision,
    () => begun.promise,
    () => 1,
  )
  state.revision = 1
  expect(await get('b')).toBe('b 1')
  begun.resolve('before')
  expect(await old).toBe('before')
  expect(await get('a')).toBe('a 2')
})

test('nothing is remembered of a store that others write into', async () => {
  const { state, get } = reading(new Remembered())
  state.revision = undefined
  expect([await get('a'), await get('a')]).toEqual(['a 1', 'a 2'])
})

test('makes room for what was asked for last, and takes nothing that is too large', async () => {
  const { state, get } = reading(new Remembered())
  state.size = 5000
  for (const key of ['a', 'b', 'c', 'd', 'a', 'e']) await get(key)
  expect(state.reads).toBe(5)
  expect([await get('a'), await get('b')]).toEqual(['a 1', 'b 6'])
  state.size = 5001
  expect([await get('x'), await get('x')]).toEqual(['x 7', 'x 8'])
})
