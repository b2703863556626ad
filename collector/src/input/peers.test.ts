import { expect, test } from 'vitest'
import { kubernetesConfig } from '../metadata/config.ts'
import { describeBy } from '../metadata/describe.ts'
import type { PodDirectory, PodFacts } from '../metadata/pod-facts.ts'
import { Peers } from './peers.ts'

const identity = { cluster: 'c', node: 'n' }
const describe = describeBy({ ...identity, kubernetes: kubernetesConfig.parse({ enabled: true }) })
const peersOf = (directory: Pick<PodDirectory, 'findByAddress'>) => new Peers({ ...identity, describe, directory })

function pod(address: string, changes: Partial<PodFacts> = {}): PodFacts {
  return {
    uid: `uid-${address}`,
    namespace: 'shop',
    name: 'cart-0',
    labels: {},
    annotations: {},
    namespaceLabels: {},
    addresses: [address],
    workload: { kind: 'Deployment', name: 'cart' },
    containers: { web: { image: 'cart:1', imageId: undefined } },
    ...changes,
  }
}

const directory = (...pods: PodFacts[]) => ({
  findByAddress: (address: string) => pods.find(({ addresses }) => addresses.includes(address)),
})

test.for([
  [
    '10.0.0.1',
    { pod: 'cart-0', container: 'web', app: 'cart' },
    { pod_uid: 'uid-10.0.0.1', workload_kind: 'Deployment' },
  ],
  ['::ffff:10.0.0.1', { pod: 'cart-0' }, { workload_name: 'cart' }],
  ['fd00::1', { pod: 'six' }, {}],
  ['10.0.0.9', { cluster: 'c', node: 'n' }, {}],
] as const)('the sender at %s is %o', ([address, labels, metadata]) => {
  const peers = peersOf(directory(pod('10.0.0.1'), pod('fd00::1', { name: 'six' })))
  expect(peers.at(address).stream).toMatchObject({ labels: { ...identity, ...labels }, metadata })
})

test('of several containers none is named', () => {
  const one = { image: 'x', imageId: undefined }
  const peers = peersOf(directory(pod('10.0.0.1', { containers: { a: one, b: one } })))
  const { labels, metadata } = peers.at('10.0.0.1').stream
  expect(labels).not.toHaveProperty('container')
  expect(metadata).not.toHaveProperty('image')
})

test('a pod that becomes known after it began to send gets its name', () => {
  const pods: PodFacts[] = []
  const peers = peersOf({ findByAddress: () => pods[0] })
  expect(peers.at('10.0.0.1').stream.labels).toEqual(identity)
  pods.push(pod('10.0.0.1'))
  expect(peers.at('10.0.0.1').stream.labels).toMatchObject({ pod: 'cart-0' })
  pods[0] = pod('10.0.0.1', { name: 'renamed' })
  expect(peers.at('10.0.0.1').stream.labels).toMatchObject({ pod: 'renamed' })
})

test('what a pod sends to one aggregator tiles one source; other pods and aggregators have others', () => {
  const peers = peersOf(directory(pod('10.0.0.1'), pod('10.0.0.2')))
  const take = (address: string, aggregator: string, bytes: number) => {
    const peer = peers.at(address)
    const place = peer.place(aggregator, bytes)
    peer.book(aggregator, place)
    return place
  }
  // What is placed and not booked leaves no gap.
  peers.at('10.0.0.1').place('a', 99)
  const places = [
    take('10.0.0.1', 'a', 10),
    take('10.0.0.1', 'a', 5),
    take('10.0.0.1', 'b', 7),
    take('10.0.0.2', 'a', 7),
    take('10.0.0.3', 'a', 7),
    take('10.0.0.4', 'a', 7),
  ]
  expect(places.map(({ range }) => range)).toEqual([
    [0, 10],
    [10, 15],
    [0, 7],
    [0, 7],
    [0, 7],
    [7, 14],
  ])
  const [a, b, ...others] = places.map(({ source }) => source.toString('hex'))
  expect(a).toBe(b)
  expect(new Set([a, ...others]).size).toBe(4)
})

test('no more pods are remembered than there may be', () => {
  const peers = peersOf({ findByAddress: (address) => pod(address) })
  const first = peers.at('0').place('a', 1).source
  for (let i = 1; i <= 1024; i++) peers.at(String(i))
  expect(peers.at('0').place('a', 1)).toMatchObject({ range: [0, 1] })
  expect(peers.at('0').place('a', 1).source.equals(first)).toBe(false)
})

test('aggregators come and go: the source of one that was forgotten is not gone on with', () => {
  const peer = peersOf({ findByAddress: () => undefined }).at('')
  const first = peer.place('0', 5)
  peer.book('0', first)
  for (let i = 1; i <= 64; i++) peer.book(String(i), peer.place(String(i), 1))
  expect(peer.place('64', 1)).toMatchObject({ range: [1, 2] })
  const again = peer.place('0', 5)
  expect(again.range).toEqual([0, 5])
  expect(again.source.equals(first.source)).toBe(false)
})
