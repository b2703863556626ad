import { expect, test } from 'vitest'
import { Pending } from './pending.ts'

const at = (offset: number, segment = 1) => ({ segment, offset })
const part = (ranges: [number, number][], session: string | undefined = 's', source = 'x') => ({
  source,
  session,
  ranges,
})

test('what a session has pending is not fresh for it, and is for others', () => {
  const pending = new Pending()
  pending.add([part([[10, 20]]), part([[0, 5]], 's', 'y')])
  pending.add([part([[15, 30]])])
  expect(pending.fresh('x', 's', [0, 40])).toEqual([
    [0, 10],
    [30, 40],
  ])
  for (const session of ['t', undefined]) expect(pending.fresh('x', session, [0, 40])).toEqual([[0, 40]])
  expect(pending.fresh('y', 's', [0, 6])).toEqual([[5, 6]])
})

test('what is stored is pending no more, message by message', () => {
  const pending = new Pending()
  pending.add([part([[0, 10]])], at(100))
  pending.add([part([[10, 20]])], at(200))
  pending.add([part([[20, 30]])], at(0, 2))
  pending.stored(at(99))
  expect(pending.fresh('x', 's', [0, 30])).toEqual([])
  pending.stored(at(200))
  expect(pending.fresh('x', 's', [0, 30])).toEqual([[0, 20]])
  pending.stored(at(5, 2))
  expect(pending.fresh('x', 's', [0, 30])).toEqual([[0, 30]])
})

test('a message that is not durable yet, and what comes behind it, stays pending', () => {
  const pending = new Pending()
  const first = pending.add([part([[0, 10]])])
  pending.add([part([[10, 20]])], at(200))
  pending.stored(at(500))
  expect(pending.fresh('x', 's', [0, 20])).toEqual([])
  pending.durable(first, at(100))
  pending.stored(at(150))
  expect(pending.fresh('x', 's', [0, 20])).toEqual([[0, 10]])
})
