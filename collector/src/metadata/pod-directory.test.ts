import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { KubeApi } from '../../../test/harness/kube-api.ts'
import { makePod } from '../../../test/harness/kube-objects.ts'
import { CollectorMetrics } from '../metrics.ts'
import { kubernetesConfig } from './config.ts'
import { openPodDirectory, type PodDirectoryOptions, type WatchedPods } from './pod-directory.ts'

/** As the usual, in milliseconds where there are seconds. */
const timing = {
  retryBase: 5,
  retryCap: 40,
  relistWithin: 5,
  watchFor: 300_000,
  watchSilence: 20_000,
  listSilence: 2000,
  saveAfter: 5,
}

let api: KubeApi
let stateDir: string
let metrics: CollectorMetrics
const opened: WatchedPods[] = []

beforeEach(async () => {
  api = await KubeApi.start()
  stateDir = await mkdtemp(join(tmpdir(), 'pods-'))
  metrics = new CollectorMetrics()
})

afterEach(async () => {
  await Promise.all(opened.splice(0).map((pods) => pods.close()))
  await api.down()
  await rm(stateDir, { recursive: true, force: true })
})

interface Settings {
  readonly kubernetes?: Parameters<typeof kubernetesConfig.parse>[0]
  readonly user?: Record<string, unknown>
  readonly timing?: PodDirectoryOptions['timing']
}

async function open({ kubernetes = {}, user = {}, timing: changed = {} }: Settings = {}): Promise<WatchedPods> {
  const kubeconfig = join(stateDir, 'kubeconfig')
  await writeFile(kubeconfig, api.kubeconfig(user))
  const config = kubernetesConfig.parse({ enabled: true, kubeconfig, ...(kubernetes as object) })
  const options = { disk: nodeDisk, log: pino({ level: 'silent' }), metrics, timing: { ...timing, ...changed } }
  const pods = await openPodDirectory({ node: 'n1', stateDir, kubernetes: config }, options)
  pods.watch()
  opened.push(pods)
  return pods
}

const nameOf = (pods: WatchedPods, uid: string) => pods.find(uid)?.name
const eventually = (what: () => unknown) => expect.poll(what, { interval: 5 })
const watching = (count = 1) => eventually(() => api.openWatches).toBe(count)

test('pods of this node are known from the list, by uid, address and what is asked of them', async () => {
  api.put(
    makePod({
      name: 'web-6d4-x',
      uid: 'u1',
      ip: '10.0.0.1',
      labels: { app: 'web', 'pod-template-hash': '6d4' },
      owner: { kind: 'ReplicaSet', name: 'web-6d4' },
      containers: ['nginx'],
    }),
  )
  api.put(makePod({ name: 'far', uid: 'u2', node: 'n2' }))
  api.put(makePod({ name: 'host', uid: 'u3', ip: '10.0.0.9', hostNetwork: true }))
  const pods = await open()
  await eventually(() => pods.find('u1')).toEqual({
    uid: 'u1',
    namespace: 'default',
    name: 'web-6d4-x',
    labels: { app: 'web', 'pod-template-hash': '6d4' },
    annotations: {},
    namespaceLabels: {},
    addresses: ['10.0.0.1'],
    workload: { kind: 'Deployment', name: 'web' },
    containers: { nginx: { image: 'registry/nginx:1', imageId: 'registry/nginx@sha256:ab' } },
  })
  expect(pods.find('u2')).toBeUndefined()
  expect(pods.findByAddress('10.0.0.1')?.uid).toBe('u1')
  expect(pods.findByAddress('10.0.0.9')).toBeUndefined()
})

test('a list of several pages', async () => {
  for (let i = 0; i < 25; i++) api.put(makePod({ name: `p${i}`, uid: `u${i}` }))
  api.pageSize = 10
  const pods = await open()
  await eventually(() => nameOf(pods, 'u24')).toBe('p24')
  expect(api.asked).toMatchObject({ lists: 3, uncachedLists: 0 })
  expect(nameOf(pods, 'u0')).toBe('p0')
})

test('a pod that lives half a second is known from the watch, and after it is gone', async () => {
  const pods = await open()
  await watching()
  for (let i = 0; i < 10; i++) {
    api.put(makePod({ name: `job-${i}`, uid: `j${i}`, phase: 'Pending' }))
    api.put(makePod({ name: `job-${i}`, uid: `j${i}`, ip: `10.1.0.${i}` }))
    void sleep(i === 0 ? 500 : 1).then(() => api.delete(`j${i}`))
  }
  await eventually(() => nameOf(pods, 'j9')).toBe('job-9')
  await eventually(async () => (await metrics.pods.get()).values).toEqual([
    { labels: { state: 'present' }, value: 0 },
    { labels: { state: 'deleted' }, value: 10 },
  ])
  expect(pods.find('j0')?.addresses).toEqual(['10.1.0.0'])
  expect(pods.findByAddress('10.1.0.9')?.uid).toBe('j9')
})

test('who asks is told what changed, and only that', async () => {
  const pods = await open()
  const told: string[] = []
  pods.onChange = (uid) => told.push(uid)
  await watching()
  api.put(makePod({ name: 'a', uid: 'a', labels: { v: '1' } }))
  api.put(makePod({ name: 'a', uid: 'a', labels: { v: '1' } }))
  api.put(makePod({ name: 'a', uid: 'a', labels: { v: '2' } }))
  api.put(makePod({ name: 'kube-proxy-n1', uid: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'hash' } }))
  await eventually(() => pods.find('hash')?.name).toBe('kube-proxy-n1')
  expect(told).toEqual(['a', 'a', 'mirror', 'hash'])
})

describe('the API server is not overloaded', () => {
  test('a broken, an ended and a silent watch go on where they were, without a list', async () => {
    const pods = await open({ timing: { watchSilence: 150 } })
    await watching()
    api.put(makePod({ name: 'a', uid: 'a' }))
    await eventually(() => nameOf(pods, 'a')).toBe('a')
    api.drop()
    api.put(makePod({ name: 'b', uid: 'b' }))
    await eventually(() => nameOf(pods, 'b')).toBe('b')
    await sleep(10)
    api.end()
    api.put(makePod({ name: 'c', uid: 'c' }))
    await eventually(() => nameOf(pods, 'c')).toBe('c')
    api.silent = true
    api.put(makePod({ name: 'd', uid: 'd' }))
    await eventually(() => api.asked.watches).toBeGreaterThan(3)
    api.silent = false
    await eventually(() => nameOf(pods, 'd')).toBe('d')
    expect(api.asked).toMatchObject({ lists: 1, uncachedLists: 0, carelessWatches: 0 })
    const { values } = await metrics.registry.getSingleMetric('collector_watch_restarts_total')!.get()
    const reasons = values.map(({ labels }) => labels['reason'])
    expect(reasons).toEqual(expect.arrayContaining(['error', 'ended', 'silent']))
  })

  test('after a bookmark the watch goes on from there', async () => {
    await open()
    await watching()
    for (let i = 0; i < 50; i++) api.put(makePod({ name: `x${i}`, uid: `x${i}`, node: 'n2' }))
    api.bookmark()
    api.forget()
    api.bookmark()
    await sleep(20)
    api.drop()
    await eventually(() => api.asked.watches).toBe(2)
    await watching()
    expect(Number(api.asked.from[1])).toBeGreaterThan(Number(api.asked.from[0]) + 50)
    expect(api.asked.lists).toBe(1)
  })

  test.for(['status', 'event'] as const)('a forgotten place, said as %s, is listed anew, once', async (goneAs) => {
    api.goneAs = goneAs
    api.put(makePod({ name: 'a', uid: 'a' }))
    const pods = await open()
    await watching()
    await api.down()
    api.delete('a')
    api.put(makePod({ name: 'b', uid: 'b' }))
    api.forget()
    await api.up()
    await eventually(() => nameOf(pods, 'b')).toBe('b')
    await watching()
    expect(nameOf(pods, 'a')).toBe('a')
    expect(api.asked).toMatchObject({ lists: 2, uncachedLists: 0 })
  })

  test('errors are answered with fewer and fewer requests', async () => {
    api.status = 503
    await open({ timing: { retryBase: 20, retryCap: 10_000 } })
    await sleep(700)
    // Without growing pauses of at least 10 ms there would be many times as many.
    expect(metrics.apiRequests.total).toBeGreaterThan(2)
    expect(metrics.apiRequests.total).toBeLessThan(9)
  })

  test('what the server ends at once is not asked for again at once', async () => {
    await open({ timing: { retryBase: 50, retryCap: 10_000 } })
    const ending = setInterval(() => api.end(), 1)
    await sleep(500)
    clearInterval(ending)
    expect(api.asked.watches).toBeLessThan(10)
  })
})

describe('whatever the API server does', () => {
  test('it may be down at the start', async () => {
    await api.down()
    const pods = await open()
    expect(pods.find('a')).toBeUndefined()
    await eventually(() => pods.trouble).toContain('ECONNREFUSED')
    await api.up()
    api.put(makePod({ name: 'a', uid: 'a' }))
    await eventually(() => nameOf(pods, 'a')).toBe('a')
    expect(pods.trouble).toBeUndefined()
  })

  test('it may be slow, or never answer', async () => {
    api.delay = 100_000
    const pods = await open({ timing: { listSilence: 50 } })
    await eventually(() => pods.trouble).toContain('nothing came')
    api.delay = 30
    api.put(makePod({ name: 'a', uid: 'a' }))
    await eventually(() => nameOf(pods, 'a')).toBe('a')
  })

  test.for([
    'not json\n',
    '{"type":"ADDED"}\n',
    '{"type":"NEWS","object":{"metadata":{"resourceVersion":"5"}}}\n',
    'null\n',
    '{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n',
  ])('it may talk nonsense: %s', async (text) => {
    const pods = await open()
    await watching()
    api.babble(text)
    await eventually(() => metrics.apiErrors.total).toBe(1)
    api.put(makePod({ name: 'a', uid: 'a' }))
    await eventually(() => nameOf(pods, 'a')).toBe('a')
    expect(api.asked.lists).toBe(1)
  })

  test('an object that is no pod is passed over', async () => {
    const pods = await open()
    await watching()
    api.babble('{"type":"ADDED","object":{"metadata":{"resourceVersion":"101","labels":7}}}\n')
    api.put(makePod({ name: 'a', uid: 'a' }))
    await eventually(() => nameOf(pods, 'a')).toBe('a')
    expect(metrics.apiErrors.total).toBe(0)
  })

  test('without a right to list, the cure is said', async () => {
    api.status = 403
    const pods = await open()
    await eventually(() => pods.trouble).toContain('allow the service account to list and watch pods')
    api.status = undefined
    await eventually(() => pods.trouble).toBeUndefined()
  })
})

test('a token that is replaced in its file is taken without a restart', async () => {
  api.token = 'first'
  await writeFile(join(stateDir, 'token'), 'first\n')
  const pods = await open({ user: { tokenFile: 'token' } })
  await watching()
  api.token = 'second'
  api.drop()
  await eventually(() => api.asked.refused).toBeGreaterThan(0)
  await writeFile(join(stateDir, 'token'), 'second\n')
  api.put(makePod({ name: 'a', uid: 'a' }))
  await eventually(() => nameOf(pods, 'a')).toBe('a')
  expect(api.asked.lists).toBe(1)
})

describe('annotations', () => {
  const noisy = {
    'kubectl.kubernetes.io/last-applied-configuration': 'x',
    'example.com/run': '7',
    'tributary.io/parser': 'json',
    'fluentbit.io/exclude': 'true',
  }
  test('only those of use are kept, and others when they are asked for later', async () => {
    api.put(makePod({ name: 'a', uid: 'a', annotations: noisy }))
    const pods = await open()
    await eventually(() => pods.find('a')?.annotations).toEqual({
      'tributary.io/parser': 'json',
      'fluentbit.io/exclude': 'true',
    })
    pods.reconfigure(kubernetesConfig.parse({ annotations: [] }))
    pods.reconfigure(kubernetesConfig.parse({ annotations: ['example.com/*'] }))
    await eventually(() => pods.find('a')?.annotations).toHaveProperty(['example.com/run'], '7')
    expect(pods.find('a')?.annotations).not.toHaveProperty(['kubectl.kubernetes.io/last-applied-configuration'])
    expect(api.asked).toMatchObject({ lists: 2, uncachedLists: 0 })
  })
})

describe('namespaces', () => {
  test('are never asked for unless their labels are wanted', async () => {
    await open()
    await watching()
    expect(api.asked).toMatchObject({ lists: 1, watches: 1 })
  })

  test('their labels, now and later', async () => {
    api.putNamespace('default', { tenant: 'gold', other: 'x' })
    api.put(makePod({ name: 'a', uid: 'a' }))
    const pods = await open({ kubernetes: { namespaceLabels: ['tenant'] } })
    await eventually(() => pods.find('a')?.namespaceLabels).toEqual({ tenant: 'gold' })
    await watching(2)
    api.putNamespace('default', { tenant: 'silver' })
    await eventually(() => pods.find('a')?.namespaceLabels).toEqual({ tenant: 'silver' })
  })
})

describe('on disk', () => {
  test('a restart without an API server knows what was known, deleted pods too', async () => {
    api.put(makePod({ name: 'a', uid: 'a', ip: '10.0.0.1', annotations: { 'kubernetes.io/config.hash': 'hash' } }))
    api.put(makePod({ name: 'b', uid: 'b' }))
    const first = await open()
    await eventually(() => nameOf(first, 'b')).toBe('b')
    await watching()
    api.delete('b')
    await eventually(async () => (await readFile(join(stateDir, 'pods'), 'utf8')).includes('"deletedAt"')).toBe(true)
    await first.close()
    await api.down()
    const second = await open()
    expect([nameOf(second, 'a'), nameOf(second, 'hash'), nameOf(second, 'b')]).toEqual(['a', 'a', 'b'])
    expect(second.findByAddress('10.0.0.1')?.name).toBe('a')
  })

  test('a list that says the same as the file changes nothing', async () => {
    api.put(makePod({ name: 'a', uid: 'a', ip: '10.0.0.1' }))
    const first = await open()
    await eventually(() => nameOf(first, 'a')).toBe('a')
    await watching()
    await first.close()
    const second = await open()
    const told: string[] = []
    second.onChange = (uid) => told.push(uid)
    await eventually(() => api.asked.watches).toBe(2)
    expect(told).toEqual([])
  })

  test('a pod that went while nobody watched is kept as deleted', async () => {
    api.put(makePod({ name: 'a', uid: 'a' }))
    const first = await open()
    await eventually(() => nameOf(first, 'a')).toBe('a')
    await first.close()
    api.delete('a')
    const second = await open()
    await eventually(async () => (await metrics.pods.get()).values[1]?.value).toBe(1)
    expect(nameOf(second, 'a')).toBe('a')
  })

  test('a damaged file is set aside and counted', async () => {
    await writeFile(join(stateDir, 'pods'), '{"format":"tributary-pods","version":1}\n{"fac')
    api.put(makePod({ name: 'a', uid: 'a' }))
    const pods = await open()
    await eventually(() => nameOf(pods, 'a')).toBe('a')
    expect(metrics.podFileErrors.total).toBe(1)
    expect(await readFile(join(stateDir, 'pods.damaged'), 'utf8')).toContain('{"fac')
  })

  test('a disk that refuses is counted, and tried again', async () => {
    let refuses = true
    const open = async (path: string, mode: 'read' | 'create' | 'update') => {
      if (refuses && path.includes('pods')) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return nodeDisk.open(path, mode)
    }
    const kubeconfig = join(stateDir, 'kubeconfig')
    await writeFile(kubeconfig, api.kubeconfig())
    const options = { disk: { ...nodeDisk, open }, log: pino({ level: 'silent' }), metrics, timing }
    const kubernetes = kubernetesConfig.parse({ kubeconfig })
    const pods = await openPodDirectory({ node: 'n1', stateDir, kubernetes }, options)
    pods.watch()
    opened.push(pods)
    await watching()
    api.put(makePod({ name: 'a', uid: 'a' }))
    await eventually(() => metrics.podFileErrors.total).toBe(1)
    refuses = false
    api.put(makePod({ name: 'b', uid: 'b' }))
    await eventually(async () => readFile(join(stateDir, 'pods'), 'utf8').catch(() => '')).toContain('"b"')
  })
})
