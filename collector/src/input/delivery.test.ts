/** Who is answered when, what waits, and what comes again: over real sockets. */
import { writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestSender } from '@tributary/aggregator/receive/test-sender.ts'
import { chunkHeader } from '@tributary/protocol/chunk.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { collect, counted, message, numbers, TestNode, until } from './fixture.ts'

let node: TestNode
beforeEach(() => {
  node = new TestNode()
})
afterEach(() => node[Symbol.asyncDispose]())

test('an application is acknowledged when the aggregator has acknowledged', async () => {
  let away = true
  const collector = await node.start({ sink: { fault: () => (away ? 'drop' : undefined) } })
  const sender = await node.client(collector)
  let acked = false
  const answer = sender.send(message('x', 'c')).then((ack) => {
    acked = true
    return ack
  })
  await until(() => node.sink.chunks >= 2)
  expect(acked).toBe(false)
  away = false
  expect(await answer).toEqual({ ack: 'c' })
  expect(node.lines()).toEqual(['x'])
  expect(chunkHeader(node.sink.relayed[0]!.message.options)!.labels).toEqual({ cluster: 'default', node: 'n1' })
})

test('while the aggregator is away memory is bounded and applications wait; then all arrives once', async () => {
  let away = true
  const limit = 4 * 1024 * 1024
  const collector = await node.start({
    sink: { fault: () => (away ? 'drop' : undefined) },
    limits: { inFlightBytes: limit },
  })
  const padding = 'x'.repeat(10_000)
  const total = 1000
  const sockets = Array.from({ length: 4 }, () => dial(collector.inputPort!, '127.0.0.1'))
  const answers = sockets.map((socket) => collect(socket))
  for (const i of numbers(total)) sockets[Number(i) % 4]!.write(message(`${i} ${padding}`, i))
  await until(async () => (await counted(collector, 'in_flight_bytes')) > limit / 2)
  // Nothing more comes in, however long the senders push.
  const taken = await counted(collector, 'messages_total')
  await until(() => node.sink.chunks > taken)
  expect(await counted(collector, 'messages_total')).toBe(taken)
  expect(await counted(collector, 'in_flight_bytes')).toBeLessThan(limit / 2 + 4 * 64 * 1024)
  expect(taken).toBeLessThan(total / 3)
  away = false
  await until(() => answers.every((one) => one.length === total / 4))
  expect(
    node
      .lines()
      .map((line) => Number(line.split(' ')[0]))
      .sort((a, b) => a - b),
  ).toEqual(numbers(total).map(Number))
  expect(await counted(collector, 'in_flight_bytes')).toBe(0)
  for (const socket of sockets) socket.destroy()
})

test('applications that send without end do not keep log files from being read, nor files applications', async () => {
  const collector = await node.start({ limits: { inFlightBytes: 64 * 1024 }, forward: { window: 1 } })
  const sender = await node.client(collector)
  let flooding = true
  const flood = Promise.all(
    numbers(50).map(async (n) => {
      for (let i = 0; flooding; i++) await sender.send(message('x'.repeat(200), `${i}-${n}`))
    }),
  )
  const written = numbers(30_000).map((n) => `line ${n} ${'y'.repeat(100)}`)
  writeFileSync(join(node.root, 'logs', 'a.log'), `${written.join('\n')}\n`)
  await until(() => node.sink.lines().length === written.length)
  const before = node.sink.relayed.length
  await until(() => node.sink.relayed.length > before + 200)
  flooding = false
  await flood
})

test('applications wait while the log files have used up the budget', async () => {
  let away = true
  const collector = await node.start({
    sink: { fault: () => (away ? 'drop' : undefined) },
    limits: { inFlightBytes: 64 * 1024 },
    forward: { compression: 'none' },
  })
  writeFileSync(join(node.root, 'logs', 'a.log'), `${'y'.repeat(999)}\n`.repeat(1000))
  await until(() => node.sink.chunks > 0)
  const sockets = Array.from({ length: 3 }, () => dial(collector.inputPort!, '127.0.0.1'))
  const answers = sockets.map((socket) => collect(socket))
  // The first message of a connection that is new is read: it is how the collector comes to look at its budget.
  for (const [i, socket] of sockets.entries()) {
    socket.write(message('first', `first ${i}`))
    await until(async () => (await counted(collector, 'messages_total')) === 1)
    socket.write(message('second', `second ${i}`))
  }
  const sent = node.sink.chunks
  await until(() => node.sink.chunks > sent)
  expect(await counted(collector, 'messages_total')).toBe(1)
  away = false
  await until(() => answers.every(({ length }) => length === 2))
  for (const socket of sockets) socket.destroy()
})

test('an application that lost its connection sends again and is answered, and nothing is doubled', async () => {
  let away = true
  const collector = await node.start({ sink: { fault: () => (away ? 'drop' : undefined) } })
  const first = await node.client(collector)
  for (const i of numbers(50)) first.send(message(i, i))?.catch(() => {})
  await until(() => node.sink.chunks >= 50)
  first.close()
  await sleep(20)
  const second = await node.client(collector)
  const answers = Promise.all(numbers(50).map((i) => second.send(message(i, i))))
  await until(async () => (await counted(collector, 'repeated_messages_total')) === 50)
  away = false
  await answers
  // The acknowledgements could have been lost on the way, too.
  second.close()
  await sleep(20)
  const third = await node.client(collector)
  await Promise.all(numbers(50).map((i) => third.send(message(i, i))))
  expect(node.lines()).toEqual(numbers(50))
})

test.for([
  { fault: 'drop' as const, when: 'before the aggregator had it', times: 1 },
  { fault: 'mute' as const, when: 'before the acknowledgement, which alone may double it', times: 2 },
])('a collector that ends $when: the application sends again', async ({ fault, times }) => {
  let away = true
  const first = await node.start({ sink: { fault: () => (away ? fault : undefined) } })
  const sender = await node.client(first)
  const failed = expect(sender.send(message('x', 'c'))).rejects.toThrow('closed')
  await until(() => node.sink.chunks > 0)
  await node.stop(first)
  await failed
  away = false
  const second = await node.start()
  expect(await (await node.client(second)).send(message('x', 'c'))).toEqual({ ack: 'c' })
  expect(node.lines()).toEqual(Array(times).fill('x'))
})

test('a collector that stops answers what it took, and takes nothing more', async () => {
  const collector = await node.start({ shutdown: { drain: '10s' } })
  const sender = await node.client(collector)
  const answers = numbers(200).map((i) => sender.send(message(i, i)))
  await answers[0]
  const { inputPort } = collector
  const results = Promise.allSettled(answers)
  await node.stop(collector)
  const acked = (await results).filter(({ status }) => status === 'fulfilled').length
  expect(node.lines().length).toBeGreaterThanOrEqual(acked)
  expect(node.lines()).toEqual(numbers(node.lines().length))
  await expect(TestSender.connect(inputPort!)).rejects.toThrow('ECONNREFUSED')
})
