import { expect, test } from 'vitest'
import { EndpointOrder } from './endpoint-order.ts'

test('the one in use is asked first, then the others in a circle', () => {
  const order = new EndpointOrder(3, 1)
  expect(order.order(0)).toEqual([1, 2, 0])
  order.used(2)
  expect(order.order(0)).toEqual([2, 0, 1])
})

test('one that failed comes last for a while, and longer each time', () => {
  const order = new EndpointOrder(3)
  order.failed(0, 0)
  expect(order.order(999)).toEqual([1, 2, 0])
  expect(order.order(1000)).toEqual([0, 1, 2])
  order.failed(0, 1000)
  expect(order.order(2999)).toEqual([1, 2, 0])
  for (let i = 0; i < 10; i++) order.failed(0, 3000)
  expect(order.order(32_999)).toEqual([1, 2, 0])
  expect(order.order(33_000)).toEqual([0, 1, 2])
})

test('when all failed, the one whose time ends first is tried first', () => {
  const order = new EndpointOrder(3)
  for (const index of [2, 0, 1]) order.failed(index, index)
  expect(order.order(10)).toEqual([0, 1, 2])
  order.failed(0, 20)
  expect(order.order(30)).toEqual([1, 2, 0])
})

test('one that answers again is healthy, but what is in use stays so', () => {
  const order = new EndpointOrder(2)
  order.failed(0, 0)
  order.used(1)
  expect(order.healthy).toBe(1)
  order.answered(0)
  expect(order.healthy).toBe(2)
  expect(order.order(1)).toEqual([1, 0])
})
