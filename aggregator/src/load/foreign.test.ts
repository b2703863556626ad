import { EventTime, encode } from '@tributary/protocol/msgpack.ts'
import { expect, test } from 'vitest'
import { type ForeignRecord, readForeign } from './foreign.ts'
import { labelName, streamOf, withServiceName } from './labels.ts'

function read(entries: unknown[], tag = 'app.log'): ForeignRecord[] {
  const records: ForeignRecord[] = []
  readForeign({ mode: 'packed', tag }, Buffer.concat(entries.map((entry) => encode(entry))), (r) => records.push(r))
  return records
}
const one = (record: unknown, tag?: string) => {
  const [first] = read([[new EventTime(5, 6), record]], tag)
  return { ...first!, line: first!.line.toString() }
}

test('a record of the Kubernetes filters', () => {
  const kubernetes = {
    namespace_name: 'shop',
    pod_name: 'cart-0',
    container_name: 'web',
    host: 'node-1',
    pod_id: 'uid',
    docker_id: 'cid',
    container_image: 'cart:1',
    labels: { 'app.kubernetes.io/name': 'cart', tier: 'x' },
  }
  expect(one({ log: 'a line\n', stream: 'stderr', kubernetes, n: 1, nested: { a: [1] }, 'odd key': 'v' })).toEqual({
    seconds: 5,
    nanoseconds: 6,
    labels: { namespace: 'shop', pod: 'cart-0', container: 'web', node: 'node-1', app: 'cart', stream: 'stderr' },
    metadata: { pod_uid: 'uid', container_id: 'cid', image: 'cart:1', n: '1', nested: '{"a":[1]}', odd_key: 'v' },
    line: 'a line',
    level: 0,
  })
})

test.for([
  { record: { log: 'x\n\n' }, line: 'x\n', metadata: {} },
  { record: { message: 'x', level: 'warn' }, line: 'x', metadata: { level: 'warn' } },
  { record: { log: 'x', message: 'y' }, line: 'x', metadata: { message: 'y' } },
  { record: { msg: 'x', user: 'u' }, line: 'x', metadata: { user: 'u' } },
  { record: { MESSAGE: 'x', _SYSTEMD_UNIT: 'u' }, line: 'x', metadata: { _SYSTEMD_UNIT: 'u' } },
  { record: { msg: 'z', message: 'x', MESSAGE: 'y' }, line: 'x', metadata: { msg: 'z', MESSAGE: 'y' } },
  { record: { log: 5, a: null }, line: '{"log":5,"a":null}', metadata: {} },
  { record: { log: '', stream: 'other' }, line: '', metadata: { stream: 'other' } },
])('$record is the line $line', ({ record, line, metadata }) => {
  expect(one(record)).toMatchObject({ line, metadata })
})

test.for([
  [{ message: 'x', level: 'warn' }, 4],
  [{ message: 'x', severity: 'ERROR' }, 5],
  [{ log: 'level=debug x' }, 2],
  [{ log: 'x', level: 7 }, 0],
  [{ MESSAGE: 'x', PRIORITY: '3' }, 5],
  [{ MESSAGE: 'x', PRIORITY: 6 }, 3],
  [{ MESSAGE: 'x', PRIORITY: '8' }, 0],
  [{ log: 'x', PRIORITY: '3' }, 0],
])('the level of %o is %i', ([record, level]) => expect(one(record).level).toBe(level))

const id = 'a'.repeat(64)
test.for([
  { tag: 'app.log', labels: { tag: 'app.log' }, metadata: {} },
  {
    tag: `kube.var.log.containers.cart-0_shop_web-${id}.log`,
    labels: { pod: 'cart-0', namespace: 'shop', container: 'web' },
    metadata: { container_id: id },
  },
  {
    tag: `kubernetes.var.log.containers.node-1.example.com_kube-system_etcd-main-${id}.log`,
    labels: { pod: 'node-1.example.com', namespace: 'kube-system', container: 'etcd-main' },
    metadata: { container_id: id },
  },
  { tag: `cart-0_shop_web-${id}.log.1`, labels: { tag: `cart-0_shop_web-${id}.log.1` }, metadata: {} },
])('the tag $tag gives labels, and what it knows of the container', ({ tag, labels, metadata }) => {
  expect(one({ log: 'x' }, tag)).toMatchObject({ labels, metadata })
  expect(one({ log: 'x' }, tag).labels).toEqual(labels)
})

test('a tag says what a kubernetes map leaves open', () => {
  const host = { host: 'node-1', labels: { app: 'shop' } }
  expect(one({ log: 'x', kubernetes: host }, 'audit').labels).toEqual({ node: 'node-1', app: 'shop', tag: 'audit' })
  const named = one(
    { log: 'x', kubernetes: { ...host, namespace_name: 'own' } },
    `kube.var.log.containers.cart-0_shop_web-${id}.log`,
  )
  expect(named.labels).toEqual({ node: 'node-1', app: 'shop', namespace: 'own', pod: 'cart-0', container: 'web' })
})

test('a tag says nothing of a record whose kubernetes map names the pod', () => {
  const record = { log: 'x', kubernetes: { namespace_name: 'shop', pod_name: 'cart-0' } }
  const { labels, metadata } = one(record, `kube.var.log.containers.other_test_web-${id}.log`)
  expect({ labels, metadata }).toEqual({ labels: { namespace: 'shop', pod: 'cart-0' }, metadata: {} })
})

test('times are EventTime, integers or floats of seconds, or milliseconds, with metadata beside them or not', () => {
  const times = [new EventTime(1, 2), 3, 4.25, -1.5, 1_795_419_354_937, [new EventTime(5, 6), { k: 'v' }]]
  const records = read(times.map((time) => [time, { log: 'x' }]))
  expect(records.map(({ seconds, nanoseconds }) => [seconds, nanoseconds])).toEqual([
    [1, 2],
    [3, 0],
    [4, 250_000_000],
    [-2, 500_000_000],
    [1_795_419_354, 937_000_000],
    [5, 6],
  ])
  expect(records[5]!.metadata).toEqual({ k: 'v' })
})

test('entries that are no [time, record] are counted and left out', () => {
  const entries = [[1, { log: 'a' }], [1], 'x', ['t', {}], [1, 2], [1, { log: 'b' }]]
  const lines: string[] = []
  const bytes = Buffer.concat(entries.map((entry) => encode(entry)))
  expect(readForeign({ mode: 'forward', tag: 't' }, bytes, ({ line }) => lines.push(line.toString()))).toBe(4)
  expect(lines).toEqual(['a', 'b'])
})

test('the name of the service comes from the first label that Loki would take', () => {
  expect(withServiceName({ container: 'c', app: 'a' })['service_name']).toBe('a')
  expect(withServiceName({ service_name: 's', app: 'a' })['service_name']).toBe('s')
  expect(withServiceName({ tag: 't' })['service_name']).toBe('unknown_service')
})

test('the id of a stream depends on its labels, not on their order, and empty labels are none', () => {
  const stream = streamOf({ b: '2', a: '1', c: '' })
  expect(stream).toEqual(streamOf({ a: '1', b: '2' }))
  expect(Object.keys(stream.labels)).toEqual(['a', 'b'])
  // The first 8 bytes of sha256('[["a","1"],["b","2"]]'), computed with sha256sum.
  expect(stream.sid.toString(16)).toBe('5f13efef7cdd95e7')
  expect(streamOf({ a: '1', b: '3' }).sid).not.toBe(stream.sid)
})

test.for([
  ['app.kubernetes.io/name', 'app_kubernetes_io_name'],
  ['9lives', '_9lives'],
  ['', '_'],
  ['__proto__', '___proto__'],
])('%s as a label name is %s', ([name, label]) => expect(labelName(name!)).toBe(label))

const sender = {
  labels: { cluster: 'c', node: 'n', namespace: 'shop', pod: 'cart-0', app: 'cart' },
  metadata: { pod_uid: 'uid' },
}
const containerTag = `kube.var.log.containers.web-1_shop_nginx-${'a'.repeat(64)}.log`
test.for([
  {
    of: 'a pod about itself',
    record: { log: 'x' },
    labels: sender.labels,
    metadata: { pod_uid: 'uid', tag: 'app.log' },
  },
  {
    of: 'a pod about another',
    record: { log: 'x', kubernetes: { namespace_name: 'shop', pod_name: 'web-1', pod_id: 'other' } },
    labels: { cluster: 'c', node: 'n', namespace: 'shop', pod: 'web-1' },
    metadata: { pod_uid: 'other' },
  },
  {
    of: 'a pod about itself, mistaken of where it runs',
    record: {
      log: 'x',
      kubernetes: { pod_name: 'cart-0', host: 'elsewhere', container_name: 'main', labels: { app: 'own' } },
    },
    labels: { ...sender.labels, container: 'main', app: 'own' },
    metadata: { pod_uid: 'uid' },
  },
  {
    of: 'a pod about one of the same name',
    record: { log: 'x', kubernetes: { namespace_name: 'test', pod_name: 'cart-0', host: 'elsewhere' } },
    labels: { cluster: 'c', node: 'elsewhere', namespace: 'test', pod: 'cart-0' },
    metadata: {},
  },
  {
    of: 'a pod that tails the files of others',
    record: { log: 'x' },
    tag: containerTag,
    labels: { cluster: 'c', node: 'n', namespace: 'shop', pod: 'web-1', container: 'nginx' },
    metadata: { container_id: 'a'.repeat(64) },
  },
  {
    of: 'nobody that is known',
    record: { log: 'x' },
    from: { labels: { cluster: 'c', node: 'n' }, metadata: {} },
    labels: { cluster: 'c', node: 'n', tag: 'app.log' },
    metadata: {},
  },
])('a record that a collector passed on, of $of', ({ record, tag = 'app.log', from = sender, labels, metadata }) => {
  const records: ForeignRecord[] = []
  const entries = encode([new EventTime(5, 6), record])
  readForeign({ mode: 'packed', tag }, entries, (one) => records.push(one), from)
  expect(records).toMatchObject([{ labels, metadata }])
  expect(records[0]!.labels).toEqual(labels)
})

test('an entry that nests too deep is left out and counted, and those beside it are there', () => {
  let deep: unknown = 'x'
  for (let i = 0; i < 80; i++) deep = i % 2 === 0 ? { a: deep } : [deep]
  const lines: string[] = []
  const entries = ['first', deep, 'last'].map((log) => encode([new EventTime(5, 6), { log }]))
  const take = ({ line }: ForeignRecord) => lines.push(line.toString())
  expect(readForeign({ mode: 'forward', tag: 'app' }, Buffer.concat(entries), take)).toBe(1)
  const message = Buffer.concat([encode(new EventTime(5, 6)), encode({ log: deep })])
  expect(readForeign({ mode: 'message', tag: 'app' }, message, take)).toBe(1)
  expect(lines).toEqual(['first', 'last'])
})
