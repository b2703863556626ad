/** What pushes may take of the memory together. */
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { parseMessage } from '@tributary/protocol/forward.ts'
import { beforeEach, expect, test } from 'vitest'
import { limitsConfig } from '../access/config.ts'
import { TenantLimits } from '../access/tenant-limits.ts'
import { readPush } from './push-message.ts'
import type { PushProblem } from './push-request.ts'
import { Pusher } from './pusher.ts'

const mebibyte = 1 << 20
const bufferBytes = 12 * mebibyte

let durable = Promise.withResolvers<void>()
let refused: PushProblem[] = []
let appended: Buffer[] = []
let pusher: Pusher
beforeEach(() => {
  durable = Promise.withResolvers()
  refused = []
  appended = []
  pusher = new Pusher({
    limiter: new TenantLimits({ limits: limitsConfig.parse({}) }),
    append: (message) => {
      appended.push(message)
      return durable.promise
    },
    full: () => false,
    maxBodyBytes: 8 * mebibyte,
    maxDecompressedBytes: 4 * mebibyte,
    bufferBytes,
    patience: 10_000,
    onTaken: () => {},
    onRefused: (problem) => refused.push(problem),
    onRepeat: () => {},
  })
})

/** How a push is answered: the status, or what was wrong. */
async function send(bytes: Buffer, contentEncoding?: string): Promise<unknown> {
  const body = new PassThrough()
  body.end(bytes)
  try {
    const received = await pusher.receive(body, bytes.length)
    await pusher.take({ ...received, contentType: 'application/json', contentEncoding }, 'fake', Date.now())
    return 204
  } catch (error) {
    return (error as { statusCode?: number }).statusCode ?? error
  }
}

const oneEntry = (text: string) =>
  Buffer.from(JSON.stringify({ streams: [{ stream: { a: 'b' }, values: [[`${Date.now()}000000`, text]] }] }))

test('a body counts from its first byte: those that stand still leave no room for more, and give it back', async () => {
  const slow = Array.from({ length: 4 }, () => {
    const body = new PassThrough()
    const answer = pusher.receive(body, 8 * mebibyte).then(
      () => 'all of it',
      (error: Error) => error.message,
    )
    return { body, answer }
  })
  for (let i = 0; i < 6; i++) {
    for (const { body } of slow) body.write(Buffer.alloc(mebibyte))
    await sleep(10)
    expect(pusher.heldBytes).toBeLessThanOrEqual(bufferBytes)
  }
  const busy = 'too many pushes are under way, try again'
  expect(await Promise.race(slow.map(({ answer }) => answer))).toBe(busy)
  expect(refused).toContain('busy')
  for (const { body } of slow) body.destroy(new Error('gone'))
  const answers = await Promise.all(slow.map(({ answer }) => answer))
  expect(answers.filter((answer) => answer === 'gone').length).toBeGreaterThan(0)
  expect(pusher.heldBytes).toBe(0)
})

test('bombs together take no more memory than pushes may, and nothing is left of them', async () => {
  const bomb = gzipSync(Buffer.alloc(4 * mebibyte, ' '))
  expect(bomb.length).toBeLessThan(8192)
  let most = 0
  let waiting = true
  const answers = Promise.all(Array.from({ length: 40 }, () => send(bomb, 'gzip'))).finally(() => (waiting = false))
  while (waiting) {
    most = Math.max(most, pusher.heldBytes)
    await sleep(0)
  }
  expect(most).toBeGreaterThan(bufferBytes / 2)
  expect(most).toBeLessThanOrEqual(bufferBytes)
  // No JSON, or no room.
  expect(new Set(await answers)).toEqual(new Set([400, 503]))
  expect(pusher.heldBytes).toBe(0)
})

test('a push holds its memory until it is durable', async () => {
  const large = oneEntry('x'.repeat(200_000))
  const zipped = send(gzipSync(large), 'gzip')
  const plain = send(large)
  await expect.poll(() => pusher.heldBytes).toBeGreaterThan(3 * large.length)
  durable.resolve()
  expect(await Promise.all([zipped, plain])).toEqual([204, 204])
  await expect.poll(() => pusher.heldBytes).toBe(0)
})

test('a push of many streams becomes several messages, which need not be in one block', async () => {
  const streams = Array.from({ length: 25_000 }, (_, i) => ({
    stream: { i: `${i}` },
    values: [[`${Date.now()}000000`, 'x']],
  }))
  durable.resolve()
  expect(await send(Buffer.from(JSON.stringify({ streams })))).toBe(204)
  const counts = appended.map((message) => readPush(parseMessage(message)!.entries).length)
  expect(counts).toEqual([10_000, 10_000, 5_000])
})
