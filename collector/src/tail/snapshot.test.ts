import { expect, test } from 'vitest'
import { Journal } from '../diagnosis/journal.ts'
import type { Family } from './family.ts'
import type { Generation } from './generation.ts'
import { backlogOf, snapshotLogs } from './snapshot.ts'

const now = 100_000

/** As much of a generation as is looked at. */
const generation = (path: string, of: Partial<Generation> = {}) =>
  ({
    source: 'ab'.repeat(16),
    path,
    state: 'reading',
    size: 100,
    position: 40,
    unread: 60,
    unreadSince: now - 500,
    frontier: { offset: 30, inFlight: 2 },
    ...of,
  }) as unknown as Generation

const podFamily = (pod: string, ...generations: Generation[]) =>
  ({
    key: `/pods/${pod}`,
    origin: {
      directory: `/pods/${pod}`,
      base: undefined,
      identity: { namespace: 'shop', pod, uid: 'u', container: 'main' },
    },
    generations,
    decision: { verdict: 'read', by: '' },
  }) as unknown as Family

const fileFamily = (path: string, ...generations: Generation[]) =>
  ({
    key: path,
    origin: { directory: '/logs', base: path.slice(6) },
    generations,
    decision: { verdict: 'read', by: '' },
  }) as unknown as Family

const view = (journal: Journal, ...families: Family[]) => ({ families, orphans: [], journal, openFiles: 0 })

const stuck = (of: Partial<NonNullable<Generation['stuck']>>) => ({
  since: now - 100,
  size: 100,
  to: -1,
  timeout: 1000,
  until: now + 10_000,
  ...of,
})

test.for<{ what: string; of: Partial<Generation>; trouble?: string; readable: number; unfinished: number }>([
  { what: 'written lines', of: {}, readable: 60, unfinished: 0 },
  { what: 'nothing unread', of: { unread: 0 }, readable: 0, unfinished: 0 },
  { what: 'half a line, however long', of: { stuck: stuck({ since: 0 }) }, readable: 0, unfinished: 60 },
  { what: 'half a line that was written on', of: { stuck: stuck({ size: 90 }) }, readable: 60, unfinished: 0 },
  {
    what: 'half a line of a file nobody writes to',
    of: { ended: true, stuck: stuck({}) },
    readable: 60,
    unfinished: 0,
  },
  { what: 'a stack trace that may go on', of: { stuck: stuck({ to: 90 }) }, readable: 0, unfinished: 60 },
  {
    what: 'a stack trace whose time is over',
    of: { stuck: stuck({ to: 90, since: now - 2000 }) },
    readable: 60,
    unfinished: 0,
  },
  { what: 'a file that can not be read', of: {}, trouble: '/pods/cart/0.log', readable: 0, unfinished: 0 },
  { what: 'while another can not be read', of: {}, trouble: '/pods/web/0.log', readable: 60, unfinished: 0 },
])('$what: $readable bytes can be read, $unfinished wait for their end', ({ of, trouble, readable, unfinished }) => {
  const journal = new Journal()
  if (trouble) journal.trouble(trouble, 'EACCES', now)
  const family = podFamily('cart', generation('/pods/cart/0.log', of))
  expect(backlogOf(view(journal, family), now)).toEqual({
    readableBytes: readable,
    unfinishedBytes: unfinished,
    oldestSince: readable > 0 ? now - 500 : undefined,
    worst: readable > 0 ? 'shop/cart/main' : undefined,
  })
})

test('the worst is the log with most to read, the oldest byte may be of another', () => {
  const web = [generation('/pods/web/0.log.1', { unread: 40 }), generation('/pods/web/0.log', { unread: 40 })]
  const old = generation('/pods/cart/0.log', { unreadSince: 7 })
  expect(backlogOf(view(new Journal(), podFamily('web', ...web), podFamily('cart', old)), now)).toMatchObject({
    readableBytes: 140,
    oldestSince: 7,
    worst: 'shop/web/main',
  })
})

test('a log is told with its sources, and with what was noted of its own files only', () => {
  const journal = new Journal()
  for (const path of ['/pods/cart/0.log', '/pods/cart', '/pods/cart2/0.log', '/logs/app.log.1', '/logs/app.log2.log'])
    journal.trouble(path, 'EIO', now - 10)
  journal.gap({ path: '/pods/cart/0.log', kind: 'lost', reason: 'deleted', range: [3, 9] })
  const families = [
    podFamily('cart', generation('/pods/cart/0.log', { ackedAt: now - 50 })),
    fileFamily('/logs/app.log'),
  ]
  const [cart, app] = snapshotLogs(view(journal, ...families), {}, now)
  expect(cart).toMatchObject({
    namespace: 'shop',
    gaps: [{ kind: 'lost', reason: 'deleted', from: 3, to: 9 }],
    sources: [{ size: 100, read: 40, acknowledged: 30, chunksInFlight: 2, unreadFor: 500, lastAckAgo: 50 }],
  })
  expect(cart!.errors.map(({ path }) => path)).toEqual(['/pods/cart/0.log', '/pods/cart'])
  expect(app!.errors.map(({ path }) => path)).toEqual(['/logs/app.log.1'])
  expect(snapshotLogs(view(journal, ...families), { pod: 'cart' }, now)).toHaveLength(1)
})
