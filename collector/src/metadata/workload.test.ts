import { expect, test } from 'vitest'
import { type Owner, workloadOf } from './workload.ts'

const owner = (kind: string, name: string, controller = true): Owner => ({ kind, name, controller })
const hash = { 'pod-template-hash': '6d4cf56db6' }

test.for([
  { what: 'a bare pod', owners: [], labels: {}, expected: undefined },
  { what: 'a static pod', owners: [owner('Node', 'worker-1')], labels: {}, expected: undefined },
  {
    what: 'a ReplicaSet of a Deployment',
    owners: [owner('ReplicaSet', 'web-front-6d4cf56db6')],
    labels: hash,
    expected: { kind: 'Deployment', name: 'web-front' },
  },
  {
    what: 'a ReplicaSet that somebody made by hand',
    owners: [owner('ReplicaSet', 'web-6d4cf56db6')],
    labels: {},
    expected: { kind: 'ReplicaSet', name: 'web-6d4cf56db6' },
  },
  {
    what: 'a ReplicaSet whose name does not end in the hash',
    owners: [owner('ReplicaSet', 'web')],
    labels: hash,
    expected: { kind: 'ReplicaSet', name: 'web' },
  },
  {
    what: 'a ReplicaSet that is named like the hash alone',
    owners: [owner('ReplicaSet', '-6d4cf56db6')],
    labels: hash,
    expected: { kind: 'ReplicaSet', name: '-6d4cf56db6' },
  },
  {
    what: 'a StatefulSet',
    owners: [owner('StatefulSet', 'db')],
    labels: {},
    expected: { kind: 'StatefulSet', name: 'db' },
  },
  {
    what: 'a DaemonSet',
    owners: [owner('DaemonSet', 'cni')],
    labels: {},
    expected: { kind: 'DaemonSet', name: 'cni' },
  },
  {
    what: 'a Job of a CronJob',
    owners: [owner('Job', 'backup-28379520')],
    labels: {},
    expected: { kind: 'CronJob', name: 'backup' },
  },
  { what: 'a Job', owners: [owner('Job', 'migrate-7')], labels: {}, expected: { kind: 'Job', name: 'migrate-7' } },
  {
    what: 'an owner of another kind',
    owners: [owner('Rollout', 'web')],
    labels: hash,
    expected: { kind: 'Rollout', name: 'web' },
  },
  {
    what: 'several owners: the one that manages it',
    owners: [owner('Backup', 'b', false), owner('StatefulSet', 'db')],
    labels: {},
    expected: { kind: 'StatefulSet', name: 'db' },
  },
])('$what', ({ owners, labels, expected }) => {
  expect(workloadOf({ labels, owners })).toEqual(expected)
})
