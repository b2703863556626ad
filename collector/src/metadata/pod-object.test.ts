import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makePod } from '../../../test/harness/kube-objects.ts'
import { readNamespace, readPod } from './pod-object.ts'

test('init and ephemeral containers too, with the digests that the runtime told', () => {
  const pod = {
    metadata: { uid: 'u', namespace: 'n', name: 'p' },
    spec: {
      initContainers: [{ name: 'init', image: 'i:1' }],
      containers: [{ name: 'app', image: 'a:1' }, { image: 'nameless' }],
      ephemeralContainers: [{ name: 'debug', image: 'd:1' }],
    },
    status: {
      initContainerStatuses: [{ name: 'init', imageID: 'i@sha256:1' }],
      containerStatuses: [{ name: 'app', imageID: '' }],
    },
  }
  expect(readPod(pod, () => true)?.facts.containers).toEqual({
    init: { image: 'i:1', imageId: 'i@sha256:1' },
    app: { image: 'a:1', imageId: undefined },
    debug: { image: 'd:1', imageId: undefined },
  })
})

test('all addresses, of both families, each once', () => {
  const pod = makePod({ name: 'p', ip: '10.0.0.1' })
  const status = { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }, {}] }
  expect(readPod({ ...pod, status }, () => true)?.facts.addresses).toEqual(['10.0.0.1', 'fd00::1'])
})

test.for([
  ['Succeeded', true],
  ['Failed', true],
  ['Running', false],
  ['Pending', false],
] as const)('%s: ended %s', ([phase, ended]) => {
  expect(readPod(makePod({ name: 'p', phase }), () => true)?.ended).toBe(ended)
})

test('of the raw object nothing is kept but what is named', () => {
  const pod = makePod({ name: 'p', annotations: { keep: 'a', drop: 'b' } })
  const read = readPod(pod, (name) => name === 'keep')
  expect(read?.facts.annotations).toEqual({ keep: 'a' })
  expect(JSON.stringify(read)).not.toContain('managedFields')
})

test('whatever it is, it is a pod or it is not', () => {
  const wrong = fc.oneof(fc.anything(), fc.constant({ metadata: { uid: 'u', namespace: 'n', name: 'p' } }))
  const shapes = fc.record(
    {
      metadata: fc.oneof(
        fc.record({
          uid: fc.string(),
          namespace: fc.string(),
          name: fc.string(),
          labels: fc.anything(),
          ownerReferences: fc.anything(),
        }),
        fc.anything(),
      ),
      spec: fc.anything(),
      status: fc.anything(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.oneof(wrong, shapes), (object) => {
      const read = readPod(object, () => true)
      if (read !== undefined) expect(read.facts.uid.length).toBeGreaterThan(0)
      readNamespace(object, () => true)
    }),
  )
})

test('a namespace, with the labels that are wanted', () => {
  const namespace = { metadata: { name: 'shop', labels: { tenant: 'gold', other: 'x' } } }
  expect(readNamespace(namespace, (name) => name === 'tenant')).toEqual({ name: 'shop', labels: { tenant: 'gold' } })
})
