/** `helm install`, `upgrade`, `rollback` and `uninstall` on a real API server, whose controllers and scheduler make the pods. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chart, type Ran, scenarios, type Tree } from '../chart/render.ts'
import { until } from '../harness/processes.ts'
import { Cluster } from './cluster.ts'
import { type ClusterPod, isReady } from './nodes.ts'
import { clusterTools } from './tools.ts'

const tools = clusterTools()
const names = { collector: 'logs-tributary-collector', aggregator: 'logs-tributary-aggregator' }
const secrets = ['logs-tributary-shared-key', `${names.aggregator}-tls`, `${names.collector}-tls`]
const nodes = ['node-1', 'node-2', 'node-3']
const privileged = { 'pod-security.kubernetes.io/enforce': 'privileged' }
const url = 'http://clickhouse.clickhouse.svc:8123'
const clickhouse = { store: { engine: 'clickhouse', clickhouse: { url } }, aggregator: { replicas: 3 } }
const deadline = ['--wait', '--timeout', '60s']

/** What the API server has to say of objects that it takes all the same, as helm passes it on. */
const warnings = ({ stdout, stderr }: Ran) => `${stdout}\n${stderr}`.match(/^.*\b(warning|would violate)\b.*$/gim) ?? []
/** What our own notes say in capitals. */
const expectQuiet = (ran: Ran) => expect(warnings(ran).filter((line) => !line.startsWith('WARNING: '))).toEqual([])

describe.skipIf(tools === undefined)('a cluster', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await Cluster.start(tools!, nodes, 30)
    await cluster.customResources()
  }, 300_000)
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  const object = (namespace: string, resource: string, name: string) =>
    cluster.api.get(`${resource.includes('/') ? '/apis' : '/api'}/${path(resource, namespace)}/${name}`)
  const path = (resource: string, namespace: string) => {
    const parts = resource.split('/')
    const version = parts.length === 1 ? 'v1' : parts.slice(0, -1).join('/')
    return `${version}/namespaces/${namespace}/${parts.at(-1)}`
  }
  const workloads = async (namespace: string) => [
    await object(namespace, 'apps/v1/daemonsets', names.collector),
    await object(namespace, 'apps/v1/statefulsets', names.aggregator),
  ]
  const secretData = (namespace: string) =>
    Promise.all(secrets.map(async (name) => (await object(namespace, 'secrets', name)).data))
  const uids = (pods: readonly ClusterPod[]) => pods.map(({ metadata }) => metadata.uid).sort()

  describe('with the values of the chart', () => {
    const namespace = 'defaults'
    let installed: readonly Tree[]
    let generated: unknown[]

    test('helm install --wait: every node has a collector, the aggregator its volume, all are ready, and nothing is warned of', async () => {
      await cluster.namespace(namespace, privileged)
      expectQuiet(await cluster.release('install', namespace, {}, ...deadline))
      const collectors = await cluster.pods(namespace, 'collector')
      expect(collectors.map(({ spec }) => spec.nodeName).sort()).toEqual(nodes)
      const aggregators = await cluster.pods(namespace, 'aggregator')
      expect(aggregators.map(({ metadata }) => metadata.name)).toEqual([`${names.aggregator}-0`])
      expect([...collectors, ...aggregators].every(isReady)).toBe(true)
      const claim = await object(namespace, 'persistentvolumeclaims', `data-${names.aggregator}-0`)
      expect(claim.status.phase).toBe('Bound')
      installed = await workloads(namespace)
      generated = await secretData(namespace)
    }, 120_000)

    test('the headless Services lead to every pod, ready or not', async () => {
      const slices = async (service: string) =>
        (
          await cluster.api.get(
            `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${encodeURIComponent(`kubernetes.io/service-name=${service}`)}`,
          )
        ).items as { endpoints?: { addresses: string[]; conditions: { ready: boolean } }[] }[]
      const endpoints = async (service: string) => (await slices(service)).flatMap((slice) => slice.endpoints ?? [])
      await expect.poll(async () => (await endpoints(names.collector)).length).toBe(nodes.length)
      cluster.nodes.ready = ({ metadata }) => metadata.labels['app.kubernetes.io/component'] !== 'aggregator'
      const service = names.aggregator
      await expect.poll(async () => (await endpoints(service)).filter(({ conditions }) => conditions.ready)).toEqual([])
      const headless = await endpoints(`${service}-headless`)
      expect(headless.map(({ conditions }) => conditions.ready)).toEqual([true])
      cluster.nodes.ready = () => true
    }, 60_000)

    test('the PodDisruptionBudget counts the aggregator, and would let it go', async () => {
      const budget = async () => (await object(namespace, 'policy/v1/poddisruptionbudgets', names.aggregator)).status
      await expect.poll(budget, { timeout: 30_000 }).toMatchObject({ expectedPods: 1, disruptionsAllowed: 1 })
    }, 60_000)

    test('helm upgrade with the same values restarts nothing, and keeps shared key and certificates', async () => {
      const before = uids([
        ...(await cluster.pods(namespace, 'collector')),
        ...(await cluster.pods(namespace, 'aggregator')),
      ])
      expectQuiet(await cluster.release('upgrade', namespace, {}, ...deadline))
      const after = uids([
        ...(await cluster.pods(namespace, 'collector')),
        ...(await cluster.pods(namespace, 'aggregator')),
      ])
      expect(after).toEqual(before)
      expect(await secretData(namespace)).toEqual(generated)
      expect((await workloads(namespace)).map(({ spec }) => spec)).toEqual(installed.map(({ spec }) => spec))
    }, 120_000)

    test('helm upgrade with other values: what is taken while it runs restarts nothing, the rest is rolled out', async () => {
      const collectors = uids(await cluster.pods(namespace, 'collector'))
      const live = {
        collector: { config: { filters: [{ name: 'health', drop: { where: 'line contains "GET /healthz"' } }] } },
      }
      await cluster.release('upgrade', namespace, live, ...deadline)
      expect(uids(await cluster.pods(namespace, 'collector'))).toEqual(collectors)
      const config = await object(namespace, 'configmaps', names.collector)
      expect(config.data['collector.yaml']).toContain('GET /healthz')

      const aggregators = uids(await cluster.pods(namespace, 'aggregator'))
      const values = { ...live, store: { retention: '30d' }, aggregator: { config: { load: { blockDelay: '2s' } } } }
      expectQuiet(await cluster.release('upgrade', namespace, values, ...deadline))
      expect(uids(await cluster.pods(namespace, 'collector'))).toEqual(collectors)
      expect(uids(await cluster.pods(namespace, 'aggregator'))).not.toEqual(aggregators)
      expect(await secretData(namespace)).toEqual(generated)
      const selectors = (await workloads(namespace)).map(({ spec }) => spec.selector)
      expect(selectors).toEqual(installed.map(({ spec }) => (spec as Tree)['selector']))
    }, 120_000)

    test('a configuration that is rolled out and does not start stops at one node, and helm says so', async () => {
      const broken = { collector: { config: { logs: { path: '/nowhere' } } } }
      const before = uids(await cluster.pods(namespace, 'collector'))
      cluster.nodes.ready = ({ metadata }) =>
        metadata.labels['app.kubernetes.io/component'] !== 'collector' || before.includes(metadata.uid)
      await expect(cluster.release('upgrade', namespace, broken, '--wait', '--timeout', '10s')).rejects.toThrow(
        /not ready|timed out|deadline|in progress/i,
      )
      const kept = uids(await cluster.pods(namespace, 'collector')).filter((uid) => before.includes(uid))
      expect(kept).toHaveLength(nodes.length - 1)
      cluster.nodes.ready = () => true
    }, 120_000)

    test('helm rollback goes back to the configuration of before, with the same key and certificates', async () => {
      const ran = await cluster.helm('rollback', 'logs', '1', '--namespace', namespace, ...deadline)
      expect(ran.stderr).not.toMatch(/error/i)
      expect(ran.ok).toBe(true)
      expect((await workloads(namespace)).map(({ spec }) => spec)).toEqual(installed.map(({ spec }) => spec))
      expect(await secretData(namespace)).toEqual(generated)
    }, 120_000)

    test('another size of the volume is refused, and changes nothing', async () => {
      const larger = { aggregator: { persistence: { size: '100Gi' } } }
      await expect(cluster.release('upgrade', namespace, larger)).rejects.toThrow(/volumeClaimTemplates: Invalid value/)
      expect((await workloads(namespace)).map(({ spec }) => spec)).toEqual(installed.map(({ spec }) => spec))
    }, 60_000)

    test('helm uninstall leaves the claim of the volume, and nothing else', async () => {
      expect((await cluster.helm('uninstall', 'logs', '--namespace', namespace, '--wait')).ok).toBe(true)
      const left = await cluster.everything(namespace)
      expect(left.filter((one) => one.includes('tributary'))).toEqual([
        `persistentvolumeclaim/data-${names.aggregator}-0`,
      ])
      const own = '/apis/rbac.authorization.k8s.io/v1'
      for (const kind of ['clusterroles', 'clusterrolebindings']) {
        const { items } = await cluster.api.get(`${own}/${kind}`)
        expect(items.filter((one: { metadata: { name: string } }) => one.metadata.name.includes('tributary'))).toEqual(
          [],
        )
      }
    }, 60_000)

    test('who installs again finds the volume as it was, and gets another key', async () => {
      const claimed = async () =>
        (await object(namespace, 'persistentvolumeclaims', `data-${names.aggregator}-0`)).spec.volumeName
      const volume = await claimed()
      await cluster.release('install', namespace, {}, ...deadline)
      expect(await claimed()).toBe(volume)
      expect(await secretData(namespace)).not.toEqual(generated)
      await cluster.helm('uninstall', 'logs', '--namespace', namespace, '--wait')
    }, 120_000)
  })

  test('several aggregators: pods one at a time in a rollout, all but one kept by the PodDisruptionBudget', async () => {
    const namespace = 'several'
    await cluster.namespace(namespace, privileged)
    expectQuiet(await cluster.release('install', namespace, clickhouse, ...deadline))
    const pods = () => cluster.pods(namespace, 'aggregator')
    expect((await pods()).map(({ metadata }) => metadata.name).sort()).toEqual(
      [0, 1, 2].map((i) => `${names.aggregator}-${i}`),
    )
    const budget = async () => (await object(namespace, 'policy/v1/poddisruptionbudgets', names.aggregator)).status
    await expect.poll(budget, { timeout: 30_000 }).toMatchObject({ expectedPods: 3, disruptionsAllowed: 1 })

    // A drained node: the second eviction waits until the first pod is ready again.
    cluster.nodes.ready = (pod) => isReady(pod)
    const evict = (pod: string) =>
      cluster.api.ask('POST', `/api/v1/namespaces/${namespace}/pods/${pod}/eviction`, {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name: pod, namespace },
      })
    expect((await evict(`${names.aggregator}-1`)).status).toBe(201)
    const second = await evict(`${names.aggregator}-2`)
    expect(second.status, JSON.stringify(second.body)).toBe(429)
    cluster.nodes.ready = () => true
    await expect.poll(async () => (await evict(`${names.aggregator}-2`)).status, { timeout: 30_000 }).toBe(201)

    await expect.poll(async () => (await pods()).filter(isReady).length, { timeout: 30_000 }).toBe(3)
    const before = uids(await pods())
    let fewest = 3
    let watching = true
    const watched = (async () => {
      while (watching) fewest = Math.min(fewest, (await pods()).filter(isReady).length)
    })()
    const changed = { ...clickhouse, aggregator: { replicas: 3, config: { load: { blockDelay: '2s' } } } }
    await cluster.release('upgrade', namespace, changed, ...deadline)
    watching = false
    await watched
    expect(uids(await pods()).filter((uid) => before.includes(uid))).toEqual([])
    expect(fewest).toBe(2)
  }, 180_000)

  test('fewer aggregators: the claims of those that are gone stay', async () => {
    const namespace = 'several'
    await cluster.release('upgrade', namespace, { ...clickhouse, aggregator: { replicas: 1 } }, ...deadline)
    await expect.poll(async () => (await cluster.pods(namespace, 'aggregator')).length).toBe(1)
    const { items } = await cluster.api.get(`/api/v1/namespaces/${namespace}/persistentvolumeclaims`)
    expect(items).toHaveLength(3)
  }, 120_000)

  test.for(scenarios())(
    'ci/%s-values.yaml: the API server takes every object, without a warning',
    { timeout: 60_000 },
    async ([name, values]) => {
      const namespace = `ci-${name}`
      await cluster.namespace(namespace, privileged)
      const ran = await cluster.release('install', namespace, values)
      expectQuiet(ran)
      const { stdout } = await cluster.helm('get', 'manifest', 'logs', '--namespace', namespace)
      const kinds = stdout.match(/^kind: /gm) ?? []
      expect(kinds.length).toBeGreaterThan(3)
      expect((await cluster.helm('uninstall', 'logs', '--namespace', namespace)).ok).toBe(true)
    },
  )

  describe('where namespaces are held to a Pod Security Standard', () => {
    const levels = { enforce: 'restricted', warn: 'restricted', audit: 'restricted' }
    const held = Object.fromEntries(
      Object.entries(levels).map(([mode, level]) => [`pod-security.kubernetes.io/${mode}`, level]),
    )

    test('aggregators run under `restricted`, and nothing is warned of', async () => {
      await cluster.namespace('restricted', held)
      const values = { collector: { enabled: false } }
      expectQuiet(await cluster.release('install', 'restricted', values, ...deadline))
      expect((await cluster.pods('restricted', 'aggregator')).every(isReady)).toBe(true)
    }, 120_000)

    test('the pod of helm test is taken under `restricted`', async () => {
      // It is rendered for releases with collectors; the admission is asked about it alone.
      const { stdout } = await cluster.helm('template', 'logs', chart, '--show-only', 'templates/tests/delivery.yaml')
      const ran = await cluster.kubectlWith(
        stdout,
        '--namespace',
        'restricted',
        'create',
        '--dry-run=server',
        '-f',
        '-',
      )
      expect(ran).toMatchObject({ ok: true, stderr: '' })
    })

    test('collectors are kept out until the namespace is labelled as the page says, and then come by themselves', async () => {
      await cluster.namespace('labelled', held)
      const { stdout, stderr } = await cluster.release('install', 'labelled', {})
      expect(stdout + stderr).toMatch(/would violate PodSecurity .*restricted:latest.*hostPath/)
      await expect.poll(async () => (await cluster.pods('labelled', 'aggregator')).filter(isReady).length).toBe(1)
      expect(await cluster.pods('labelled', 'collector')).toEqual([])
      const labels = ['label', 'namespace', 'labelled', 'pod-security.kubernetes.io/enforce=privileged', '--overwrite']
      expect((await cluster.kubectl(...labels)).ok).toBe(true)
      await until(
        async () => (await cluster.pods('labelled', 'collector')).filter(isReady).length === nodes.length,
        60_000,
        () => 'the DaemonSet does not try again',
        500,
      )
    }, 120_000)
  })
})
