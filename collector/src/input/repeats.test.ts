import { expect, test } from 'vitest'
import { Repeats } from './repeats.ts'

const message = Buffer.from('message')

/** Takes the message on a connection; resolves what was relayed when told. */
function start(remembered = 10) {
  const repeats = new Repeats(remembered)
  const relayed: PromiseWithResolvers<void>[] = []
  const take = (bytes: Buffer, origin: { closed: boolean }) =>
    repeats.take(bytes, origin, () => {
      relayed.push(Promise.withResolvers())
      return relayed.at(-1)!.promise
    })
  return { relayed, take }
}

test('while the first is under way a second one waits for the same acknowledgement', async () => {
  const { relayed, take } = start()
  const first = take(message, { closed: true })
  const second = take(message, { closed: false })
  expect([first.repeated, second.repeated, relayed.length]).toEqual([false, true, 1])
  let acked = false
  void second.acked.then(() => {
    acked = true
  })
  await Promise.resolve()
  expect(acked).toBe(false)
  relayed[0]!.resolve()
  await Promise.all([first.acked, second.acked])
})

test.for([
  { connection: 'closed', closed: true, repeated: true },
  { connection: 'still open', closed: false, repeated: false },
])(
  'after the acknowledgement, with the connection $connection, repeated is $repeated',
  async ({ closed, repeated }) => {
    const { relayed, take } = start()
    const origin = { closed: false }
    const first = take(message, origin)
    relayed[0]!.resolve()
    await first.acked
    origin.closed = closed
    const second = take(message, { closed: false })
    expect(second.repeated).toBe(repeated)
    if (repeated) await second.acked
  },
)

test('a repeat that was answered on an open connection makes the next one new', async () => {
  const { relayed, take } = start()
  const first = take(message, { closed: true })
  relayed[0]!.resolve()
  await first.acked
  expect(take(message, { closed: false }).repeated).toBe(true)
  expect(take(message, { closed: false }).repeated).toBe(false)
})

test('one byte less is another message', () => {
  const { take } = start()
  take(message, { closed: true })
  expect(take(message.subarray(1), { closed: true }).repeated).toBe(false)
})

test('no more are remembered than asked for, the oldest is forgotten first', async () => {
  const { relayed, take } = start(2)
  const gone = { closed: true }
  for (const text of ['a', 'b', 'c']) {
    const { acked } = take(Buffer.from(text), gone)
    relayed.at(-1)!.resolve()
    await acked
  }
  expect(['b', 'c', 'a'].map((text) => take(Buffer.from(text), gone).repeated)).toEqual([true, true, false])
})
