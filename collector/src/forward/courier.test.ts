import { expect, test } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { ByteBudget } from './budget.ts'
import { Courier } from './courier.ts'
import type { Sender } from './sender.ts'

const source = Buffer.alloc(16, 1)

/** A connection whose acknowledgements come when the test says so. */
class HeldSender {
  readonly address = 'a:1'
  connected = true
  readonly #waiting: (() => void)[] = []
  get waiting(): number {
    return this.#waiting.length
  }
  send(id: string): Promise<{ ack: string }> {
    return new Promise((resolve) => this.#waiting.push(() => resolve({ ack: id })))
  }
  ack(): void {
    this.#waiting.shift()!()
  }
}

function start(limit: number) {
  const sender = new HeldSender()
  const courier = new Courier({
    senders: [sender as unknown as Sender],
    format: 'tributary',
    compression: 'none',
    window: 1,
    budget: new ByteBudget(limit),
    metrics: new CollectorMetrics(),
  })
  return { sender, courier }
}

test('messages of applications take no place in the window of chunks, only of the budget', async () => {
  const { sender, courier } = start(4000)
  const relayed = [courier.relay(0, 'a', [Buffer.alloc(500)]), courier.relay(0, 'b', [Buffer.alloc(500)])]
  expect(courier.hasRoom(source)).toBe(true)
  void courier.relay(0, 'c', [Buffer.alloc(1000)])
  expect([courier.hasRoom(source), courier.open]).toEqual([false, false])
  const room: string[] = []
  courier.onRoom = () => room.push('files')
  courier.onRelayRoom = () => room.push('applications')
  for (const _ of relayed) sender.ack()
  await Promise.all(relayed)
  expect(room).toEqual(['files', 'applications', 'files', 'applications'])
  expect([courier.hasRoom(source), courier.open]).toEqual([true, true])
  // What is left is one kilobyte, and what keeping it costs.
  expect(courier.relayedBytes).toBe(2024)
})
