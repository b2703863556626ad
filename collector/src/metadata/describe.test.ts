import { withServiceName } from '@tributary/aggregator/load/labels.ts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type DescribeOptions, describeBy } from './describe.ts'
import type { PodFacts } from './pod-facts.ts'

const identity = { namespace: 'shop', pod: 'web-6d4cf-x2x', uid: 'u-1', container: 'nginx' }
const kubernetes = { enabled: true, labels: [], annotations: [], namespaceLabels: [], promote: {}, imageId: false }
const options = (changed: Partial<DescribeOptions['kubernetes']> = {}): DescribeOptions => ({
  cluster: 'c1',
  node: 'n1',
  kubernetes: { ...kubernetes, ...changed },
})
const facts: PodFacts = {
  uid: 'u-1',
  namespace: 'shop',
  name: 'web-6d4cf-x2x',
  labels: { app: 'web', team: 'red', 'app.kubernetes.io/version': '1.2' },
  annotations: { 'example.com/run': '7' },
  namespaceLabels: { tenant: 'gold' },
  addresses: ['10.0.0.7'],
  workload: { kind: 'Deployment', name: 'web-front' },
  containers: { nginx: { image: 'nginx:1.27', imageId: 'sha256:ab' } },
}
const labelsOf = (labels: Record<string, string>, more: Partial<PodFacts> = {}, changed = {}) =>
  describeBy(options(changed))(identity, undefined, { ...facts, labels, ...more }).labels

test('a known pod', () => {
  expect(describeBy(options())(identity, 'c-1', facts)).toEqual({
    labels: {
      cluster: 'c1',
      node: 'n1',
      namespace: 'shop',
      pod: 'web-6d4cf-x2x',
      container: 'nginx',
      app: 'web',
      service_name: 'web',
    },
    metadata: {
      pod_uid: 'u-1',
      container_id: 'c-1',
      image: 'nginx:1.27',
      workload_kind: 'Deployment',
      workload_name: 'web-front',
    },
  })
})

describe('an unknown pod', () => {
  const place = { cluster: 'c1', node: 'n1', namespace: 'shop', pod: 'web-6d4cf-x2x', container: 'nginx' }
  test('is described by its path, and that is said', () => {
    expect(describeBy(options())(identity, undefined, undefined)).toEqual({
      labels: place,
      metadata: { pod_uid: 'u-1', partial_metadata: 'true' },
    })
  })
  test('where nobody asks for more than the path, nothing is missing', () => {
    expect(describeBy(options({ enabled: false }))(identity, 'c-1', undefined)).toEqual({
      labels: place,
      metadata: { pod_uid: 'u-1', container_id: 'c-1' },
    })
  })
})

test('what is allowed becomes structured metadata', () => {
  const allowed = { labels: ['app.kubernetes.io/*'], annotations: ['*'], namespaceLabels: ['tenant'], imageId: true }
  const { metadata } = describeBy(options(allowed))(identity, undefined, facts)
  expect(metadata).toMatchObject({
    label_app_kubernetes_io_version: '1.2',
    annotation_example_com_run: '7',
    namespace_label_tenant: 'gold',
    image_id: 'sha256:ab',
  })
  expect(metadata).not.toHaveProperty('label_team')
})

test('a long annotation is cut', () => {
  const annotations = { note: 'x'.repeat(100_000) }
  const { metadata } = describeBy(options({ annotations: ['note'] }))(identity, undefined, { ...facts, annotations })
  expect(metadata['annotation_note']).toHaveLength(1024)
})

test.for([
  { labels: { 'app.kubernetes.io/name': 'a', app: 'b', 'k8s-app': 'c' }, app: 'a', service: 'a' },
  { labels: { app: 'b', 'k8s-app': 'c' }, app: 'b', service: 'b' },
  { labels: { 'k8s-app': 'c', name: 'd' }, app: 'c', service: 'c' },
  { labels: { service: 's', app: 'b' }, app: 'b', service: 's' },
  { labels: { name: 'd' }, app: 'web-front', service: 'd' },
  { labels: { app: '' }, app: 'web-front', service: 'web-front' },
])('$labels → app $app, service $service', ({ labels, app, service }) => {
  expect(labelsOf(labels as unknown as Record<string, string>)).toMatchObject({ app, service_name: service })
})

test('a bare pod without labels is called by its container', () => {
  expect(labelsOf({}, { workload: undefined })).toMatchObject({ app: 'nginx', service_name: 'nginx' })
})

test('promoted labels are stream labels, and may say what app and service are', () => {
  const labels = { app: 'web', team: 'red', product: 'till', empty: '' }
  const promote = { team: 'squad', empty: 'empty', absent: 'absent' }
  const promoted = labelsOf(labels, {}, { promote })
  expect(promoted).toMatchObject({ squad: 'red', app: 'web', service_name: 'web' })
  expect(promoted).not.toHaveProperty('empty')
  expect(promoted).not.toHaveProperty('absent')
  expect(labelsOf(labels, {}, { promote: { product: 'app' } })).toMatchObject({ app: 'till', service_name: 'till' })
  expect(labelsOf(labels, {}, { promote: { product: 'service_name' } })).toMatchObject({
    app: 'web',
    service_name: 'till',
  })
})

test('the service is the one that the aggregator would find in the same labels', () => {
  const names = ['service', 'app', 'application', 'app_name', 'name'] as const
  const values = fc.option(fc.constantFrom('x', 'y'), { nil: undefined })
  fc.assert(
    fc.property(fc.record(Object.fromEntries(names.map((name) => [name, values]))), (some) => {
      const labels = Object.fromEntries(Object.entries(some).filter(([, value]) => value)) as Record<string, string>
      const named = names.find((name) => labels[name])
      const expected = named === undefined ? 'web-front' : withServiceName(labels)['service_name']
      expect(labelsOf(labels)['service_name']).toBe(expected)
    }),
  )
})
