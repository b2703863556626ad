import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KnownPods, type KnownPodsOptions } from './known-pods.ts'
import { decodePods, encodePods } from './pod-file.ts'
import type { PodObject } from './pod-object.ts'

interface Shape {
  readonly ip?: string
  readonly hash?: string
  readonly ended?: boolean
  readonly label?: string
  readonly namespace?: string
}

const pod = (uid: string, { ip, hash, ended = false, label = '', namespace = 'shop' }: Shape = {}): PodObject => ({
  facts: {
    uid,
    namespace,
    name: `pod-${uid}`,
    labels: { label },
    annotations: {},
    namespaceLabels: {},
    addresses: ip === undefined ? [] : [ip],
    workload: undefined,
    containers: {},
  },
  staticHash: hash,
  ended,
})

function known(changed: Partial<KnownPodsOptions> = {}) {
  const told: string[] = []
  const pods = new KnownPods({
    keepDeleted: 1000,
    isNeeded: () => false,
    onChange: (uid) => told.push(uid),
    ...changed,
  })
  return { pods, told }
}

test('a static pod is found by the hash in its path', () => {
  const { pods, told } = known()
  pods.seen(pod('a', { hash: 'h' }))
  expect(pods.find('h')).toBe(pods.find('a'))
  expect(told).toEqual(['a', 'h'])
})

test('what did not change stays the same object', () => {
  const { pods, told } = known()
  pods.seen(pod('a'))
  const before = pods.find('a')
  pods.seen(pod('a', { ended: true }))
  expect(pods.find('a')).toBe(before)
  pods.seen(pod('a', { label: 'x' }))
  expect(pods.find('a')).not.toBe(before)
  expect(told).toEqual(['a', 'a'])
})

describe('an address', () => {
  test('belongs to the pod that has it now', () => {
    const { pods } = known()
    pods.seen(pod('old', { ip: 'x' }))
    pods.gone(pod('old', { ip: 'x' }), 1)
    expect(pods.findByAddress('x')?.uid).toBe('old')
    pods.seen(pod('new', { ip: 'x' }))
    expect(pods.findByAddress('x')?.uid).toBe('new')
  })
  test('is not taken back by a pod that ended', () => {
    const { pods } = known()
    pods.seen(pod('job', { ip: 'x', ended: true }))
    pods.seen(pod('new', { ip: 'x' }))
    pods.seen(pod('job', { ip: 'x', ended: true, label: 'late' }))
    expect(pods.findByAddress('x')?.uid).toBe('new')
  })
  test('is forgotten with its pod', () => {
    const { pods } = known()
    pods.gone(pod('a', { ip: 'x' }), 0)
    pods.expire(5000)
    expect(pods.findByAddress('x')).toBeUndefined()
  })
})

describe('a deleted pod', () => {
  test('is kept for its time, and then forgotten', () => {
    const { pods } = known()
    pods.gone(pod('a', { hash: 'h' }), 100)
    pods.expire(1100)
    expect(pods.find('a')?.name).toBe('pod-a')
    pods.expire(1101)
    expect([pods.find('a'), pods.find('h')]).toEqual([undefined, undefined])
  })
  test('is kept for as long as somebody needs it, by its uid or its hash', () => {
    for (const needed of ['a', 'h']) {
      const { pods } = known({ isNeeded: (uid) => uid === needed })
      pods.gone(pod('a', { hash: 'h' }), 0)
      pods.expire(1_000_000)
      expect(pods.find('a')?.name).toBe('pod-a')
    }
  })
  test('is forgotten early when there are too many, the oldest first', () => {
    const { pods } = known({ isNeeded: () => true })
    for (let i = 0; i < 1005; i++) pods.gone(pod(`${i}`), i)
    pods.seen(pod('there'))
    pods.expire(1004)
    expect(pods.deleted).toBe(1000)
    expect([pods.find('4'), pods.find('5')?.uid, pods.find('there')?.uid]).toEqual([undefined, '5', 'there'])
  })
  test('is back when it is seen again', () => {
    const { pods } = known()
    pods.gone(pod('a'), 0)
    pods.seen(pod('a'))
    pods.expire(1_000_000)
    expect(pods.present).toBe(1)
  })
})

test('who is not in a whole list is gone; while it comes, nobody is', () => {
  const { pods } = known()
  for (const uid of ['a', 'b']) pods.seen(pod(uid))
  pods.listing()
  pods.seen(pod('b'))
  expect(pods.deleted).toBe(0)
  // Broken off, and begun again.
  pods.listing()
  pods.seen(pod('a'))
  pods.listed(10)
  const deleted = [...pods.all()].filter(({ deletedAt }) => deletedAt !== undefined)
  expect(deleted.map(({ facts, deletedAt }) => [facts.uid, deletedAt])).toEqual([['b', 10]])
  expect(pods.find('b')?.uid).toBe('b')
})

test('labels of a namespace reach its pods, whichever comes first', () => {
  const { pods, told } = known()
  pods.seen(pod('a'))
  pods.seen(pod('other', { namespace: 'dev' }))
  pods.namespaceSeen('shop', { tenant: 'gold' })
  pods.seen(pod('b'))
  expect([pods.find('a'), pods.find('b'), pods.find('other')].map((facts) => facts?.namespaceLabels)).toEqual([
    { tenant: 'gold' },
    { tenant: 'gold' },
    {},
  ])
  expect(told).toEqual(['a', 'other', 'a', 'b'])
})

describe('on disk', () => {
  const shapes = fc.array(
    fc.record({
      uid: fc.constantFrom('a', 'b', 'c', 'd'),
      ip: fc.constantFrom('x', 'y'),
      hash: fc.option(fc.constantFrom('h', 'i'), { nil: undefined }),
      label: fc.string(),
      gone: fc.boolean(),
    }),
  )
  test('what was saved is found as before, and is no news when it is seen again', () => {
    fc.assert(
      fc.property(shapes, (all) => {
        const { pods } = known()
        for (const { uid, gone, ...shape } of all) {
          const one = pod(uid, { ip: shape.ip, label: shape.label, ...(shape.hash ? { hash: shape.hash } : {}) })
          gone ? pods.gone(one, 5) : pods.seen(one)
        }
        const told: string[] = []
        const options = { keepDeleted: 1000, isNeeded: () => false, onChange: (uid: string) => told.push(uid) }
        const loaded = new KnownPods(options, decodePods(encodePods(pods.all())))
        for (const uid of ['a', 'b', 'c', 'd']) {
          expect(JSON.stringify(loaded.find(uid))).toBe(JSON.stringify(pods.find(uid)))
          const object = [...pods.all()].find(({ facts }) => facts.uid === uid)
          if (object?.deletedAt === undefined && object) loaded.seen(object)
        }
        expect([loaded.present, loaded.deleted]).toEqual([pods.present, pods.deleted])
        expect(told).toEqual([])
      }),
    )
  })
  test('a file with any byte changed, or cut anywhere, is refused', () => {
    const { pods } = known()
    pods.seen(pod('a', { ip: 'x' }))
    const bytes = encodePods(pods.all())
    fc.assert(
      fc.property(fc.nat(bytes.length - 2), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const damaged = Buffer.from(bytes)
        damaged[at]! ^= mask
        expect(() => decodePods(damaged)).toThrow()
        expect(() => decodePods(bytes.subarray(0, at))).toThrow()
      }),
    )
  })
  test('a version of the future is refused', () => {
    const text = encodePods([]).toString().replace('"version":1', '"version":2')
    expect(() => decodePods(Buffer.from(text))).toThrow()
  })
})
