/**
 * A cluster of one node whose pods run: helm installs the chart and waits until its processes' own probes succeed, `helm test` finds its lines, and
 * both are replaced by an upgrade while lines come.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dnsmasq } from '../harness/dnsmasq.ts'
import { NetworkNamespace, namespacesMissing } from '../harness/namespaces.ts'
import { until } from '../harness/processes.ts'
import { Cluster } from './cluster.ts'
import { ControlPlane } from './control-plane.ts'
import { isReady } from './nodes.ts'
import { PodProcesses } from './pod-processes.ts'
import { clusterTools } from './tools.ts'

const tools = clusterTools()
const skipped = tools === undefined || dnsmasq === undefined || namespacesMissing() !== undefined
const namespace = 'logging'
const deadline = ['--wait', '--timeout', '180s']

describe.skipIf(skipped)('a node', () => {
  const cleanup = new AsyncDisposableStack()
  let cluster: Cluster
  let pods: PodProcesses
  beforeAll(async () => {
    const network = cleanup.use(new NetworkNamespace())
    const plane = cleanup.use(await ControlPlane.start(tools!, network.host))
    pods = cleanup.use(await PodProcesses.start(plane.admin, join(plane.root, 'node'), network))
    cluster = await Cluster.of(plane, tools!, ['node-1'], 1, pods)
    cleanup.use(cluster.nodes)
    await cluster.namespace(namespace, { 'pod-security.kubernetes.io/enforce': 'privileged' })
  }, 300_000)
  afterAll(() => cleanup.disposeAsync())

  const ready = async (component: string) => (await cluster.pods(namespace, component)).filter(isReady)
  const helmTest = async () => {
    pods.output = ''
    const ran = await cluster.helm('test', 'logs', '--namespace', namespace, '--timeout', '120s')
    expect(ran.ok, `${ran.stdout}\n${ran.stderr}\n${pods.output}`).toBe(true)
    expect(pods.output).toMatch(/100 of 100 lines found, each once/)
  }

  test('helm install --wait, with the values of the chart: collector and aggregator are ready', async () => {
    await cluster.release('install', namespace, {}, ...deadline).catch((error) => {
      throw new Error(pods.output, { cause: error })
    })
    expect(await ready('collector')).toHaveLength(1)
    expect(await ready('aggregator')).toHaveLength(1)
  }, 240_000)

  test('helm test: its lines are found, each once, with the labels and metadata of its pod', helmTest, 150_000)

  test('helm upgrade replaces both, and helm test succeeds again', async () => {
    const before = (await ready('aggregator')).concat(await ready('collector')).map(({ metadata }) => metadata.uid)
    const values = {
      collector: { config: { logs: { maxLineBytes: '512KiB' } } },
      aggregator: { config: { load: { blockDelay: '500ms' } }, preStopSeconds: 1 },
    }
    await cluster.release('upgrade', namespace, values, ...deadline)
    const after = (await ready('aggregator')).concat(await ready('collector')).map(({ metadata }) => metadata.uid)
    expect(after.filter((uid) => before.includes(uid))).toEqual([])
    expect(after).toHaveLength(2)
    await helmTest()
  }, 300_000)

  test('a pod that is deleted is made again and goes on: helm test succeeds', async () => {
    const [aggregator] = await ready('aggregator')
    const { name, uid } = aggregator!.metadata
    expect((await cluster.kubectl('-n', namespace, 'delete', 'pod', name)).ok).toBe(true)
    await until(
      async () => (await ready('aggregator')).some(({ metadata }) => metadata.uid !== uid),
      120_000,
      () => pods.output,
    )
    await helmTest()
  }, 300_000)
})
