import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Frontier } from './frontier.ts'

test('whatever the order of acks, the frontier is the end of the unbroken acknowledged prefix', () => {
  const order = fc
    .integer({ min: 1, max: 12 })
    .chain((n) => fc.shuffledSubarray([...Array(n).keys()], { minLength: 0 }).map((acks) => ({ n, acks })))
  fc.assert(
    fc.property(order, ({ n, acks }) => {
      const frontier = new Frontier(0, { length: 0, crc: 0 })
      const ack = Array.from({ length: n }, (_, i) => frontier.sent((i + 1) * 10, { length: 1, crc: i }))
      const acked = new Set<number>()
      for (const i of acks) {
        ack[i]!()
        acked.add(i)
        let expected = 0
        while (acked.has(expected)) expected++
        expect(frontier.offset).toBe(expected * 10)
        expect(frontier.inFlight).toBe(n - expected)
        if (expected > 0) expect(frontier.tail.crc).toBe(expected - 1)
      }
    }),
  )
})
