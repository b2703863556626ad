import { expect, test } from 'vitest'
import { SessionFence } from './session-fence.ts'

const [one, two] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]

test('a source is held for the session that asked last, and for nobody while nobody asked', () => {
  const fence = new SessionFence()
  expect(fence.lets({ source: one, session: 'a' })).toBe(true)
  fence.raise([one], 'a')
  fence.raise([one], 'b')
  expect(fence.lets({ source: one, session: 'a' })).toBe(false)
  expect(fence.lets({ source: one, session: 'b' })).toBe(true)
  expect(fence.lets({ source: two, session: 'a' })).toBe(true)
})

test('a chunk over two sources needs both', () => {
  const fence = new SessionFence()
  fence.raise([two], 'b')
  expect(fence.lets({ source: one, session: 'a', seam: { source: two, at: 5 } })).toBe(false)
  expect(fence.lets({ source: one, session: 'b', seam: { source: two, at: 5 } })).toBe(true)
})

test('a query of a process that is gone, read after that of its successor, does not shut the successor out', () => {
  const fence = new SessionFence()
  fence.lets({ source: two, session: 'gone' })
  fence.raise([one], 'successor')
  fence.raise([one], 'gone')
  expect(fence.lets({ source: one, session: 'successor' })).toBe(true)
  expect(fence.lets({ source: one, session: 'gone' })).toBe(false)
})

test('senders that name no session are let through and hold nothing', () => {
  const fence = new SessionFence()
  fence.raise([one], 'a')
  fence.raise([one], undefined)
  expect(fence.lets({ source: one })).toBe(true)
  expect(fence.lets({ source: one, session: 'b' })).toBe(false)
})

test('what is remembered is bounded', () => {
  const fence = new SessionFence()
  const source = (i: number) => {
    const id = Buffer.alloc(16)
    id.writeUInt32BE(i, 0)
    return id
  }
  fence.raise(
    Array.from({ length: 200_001 }, (_, i) => source(i)),
    'a',
  )
  expect(fence.lets({ source: source(0), session: 'b' })).toBe(true)
  expect(fence.lets({ source: source(1), session: 'b' })).toBe(false)
})
