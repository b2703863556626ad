import { expect, test } from 'vitest'
import { type PodSpec, runArguments } from './pod.ts'

const fields = { name: 'web-0', uid: 'b2c1', node: 'node-1' }
const directories = new Map([['data', '/machine/data']])
const spec: PodSpec = {
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 10001,
    runAsGroup: 10001,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  containers: [
    {
      name: 'web',
      image: 'web:1',
      command: ['web', 'serve'],
      args: ['--name=$(POD)', '--other=$(NOBODY)'],
      env: [{ name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
      resources: { requests: { cpu: '1' }, limits: { memory: '200Mi', cpu: '500m' } },
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      },
      volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: true }],
    },
  ],
}

/** The pod with other values in its container. */
const changed = (container: object, pod: object = {}) =>
  ({ ...spec, ...pod, containers: [{ ...spec.containers[0]!, ...container }] }) as PodSpec

test('a pod becomes arguments of docker run', () => {
  expect(runArguments(spec, fields, directories).join(' ')).toBe(
    '--user 10001:10001 --security-opt no-new-privileges --read-only --cap-drop ALL --memory 209715200 --memory-swap 209715200 --cpus 0.5' +
      ' --env POD=web-0 --volume /machine/data:/data:ro --entrypoint web web:1 serve --name=web-0 --other=$(NOBODY)',
  )
})

test.for([
  [{ securityContext: { privileged: true } }, 'securityContext.privileged is not understood'],
  [{ resources: { limits: { 'ephemeral-storage': '1Gi' } } }, 'limits.ephemeral-storage is not understood'],
  [{ resources: { limits: { memory: '1e9' } } }, 'not a quantity that is understood: 1e9'],
  [{ env: [{ name: 'KEY', valueFrom: { secretKeyRef: {} } }] }, 'environment variable KEY: not understood'],
  [{ volumeMounts: [{ name: 'data', mountPath: '/data', subPath: 'a' }] }, 'volumeMounts.subPath is not understood'],
  [{ volumeMounts: [{ name: 'nothing', mountPath: '/data' }] }, 'no volume is called nothing'],
] as const)('what is not understood is an error: %j', ([container, message]) => {
  expect(() => runArguments(changed(container), fields, directories)).toThrow(message)
})

test('what a kubelet would refuse is one too', () => {
  const root = changed({}, { securityContext: { runAsNonRoot: true, runAsUser: 0 } })
  expect(() => runArguments(root, fields, directories)).toThrow('runAsNonRoot')
})
