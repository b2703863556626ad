/**
 * A cluster of one node whose pods run: helm installs the chart and waits until its processes' own probes succeed, `helm test` finds its lines, and
 * both are replaced by an upgrade and killed while containers write; every line is found once.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeTruth } from 'tributary/generate/truth.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dnsmasq } from '../harness/dnsmasq.ts'
import { NetworkNamespace, namespacesMissing } from '../harness/namespaces.ts'
import { cluster as clusterName, node, until } from '../harness/processes.ts'
import { chooseSeed, conclude, wholeVerdict } from '../integrity/run.ts'
import { Cluster } from './cluster.ts'
import { ControlPlane } from './control-plane.ts'
import { isReady } from './nodes.ts'
import { PodProcesses } from './pod-processes.ts'
import { clusterTools } from './tools.ts'

const tools = clusterTools()
const noNamespaces = namespacesMissing()
if (noNamespaces !== undefined) {
  if (process.env['CI'] === 'true') throw new Error(`needed in CI: ${noNamespaces}`)
  console.log(`skipped: ${noNamespaces}`)
}
const skipped = tools === undefined || dnsmasq === undefined || noNamespaces !== undefined
const namespace = 'logging'
const deadline = ['--wait', '--timeout', '180s']
const seed = chooseSeed()

/** Containers that write into the node's /var/log for a while, as a pod that may. */
const writer = {
  metadata: { name: 'writer' },
  spec: {
    restartPolicy: 'Never',
    containers: [
      {
        name: 'writer',
        image: 'tributary/aggregator:0.1.0',
        command: ['tributary', 'generate'],
        args: [
          ...['--out', '/var/log', '--summary', '/var/log/truth.json', '--seed', String(seed)],
          ...'--containers 6 --rate 500 --duration 45s --rotate-bytes 64KiB --partial 2 --piece-bytes 300'.split(' '),
        ],
        volumeMounts: [{ name: 'log', mountPath: '/var/log' }],
      },
    ],
    volumes: [{ name: 'log', hostPath: { path: '/var/log' } }],
  },
}

describe.skipIf(skipped)('a node', () => {
  const cleanup = new AsyncDisposableStack()
  let cluster: Cluster
  let pods: PodProcesses
  let network: NetworkNamespace
  let root: string
  beforeAll(async () => {
    network = cleanup.use(new NetworkNamespace())
    const plane = cleanup.use(await ControlPlane.start(tools!, network.host))
    root = join(plane.root, 'node')
    pods = cleanup.use(await PodProcesses.start(plane.admin, root, network))
    cluster = await Cluster.of(plane, tools!, [node], 1, pods)
    cleanup.use(cluster.nodes)
    await cluster.namespace('shop')
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

  test('helm install --wait, with nothing said but the name of the cluster: collector and aggregator are ready', async () => {
    await cluster.release('install', namespace, { cluster: clusterName }, ...deadline).catch((error) => {
      throw new Error(pods.output, { cause: error })
    })
    expect(await ready('collector')).toHaveLength(1)
    expect(await ready('aggregator')).toHaveLength(1)
  }, 240_000)

  test('helm test: its lines are found, each once, with the labels and metadata of its pod', helmTest, 150_000)

  test('helm upgrade replaces both while containers write, and helm test succeeds again', async () => {
    await cluster.api.call('POST', '/api/v1/namespaces/shop/pods', writer)
    const before = (await ready('aggregator')).concat(await ready('collector')).map(({ metadata }) => metadata.uid)
    const values = {
      cluster: clusterName,
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

  test('of what the containers wrote meanwhile, every line is found once', async () => {
    const phase = async () => (await cluster.api.get('/api/v1/namespaces/shop/pods/writer')).status.phase
    await expect.poll(phase, { timeout: 120_000 }).toBe('Succeeded')
    const truth = decodeTruth(readFileSync(join(root, 'host/var/log/truth.json'), 'utf8'))
    const url = `http://${network.address}:3100`
    const ready = (deadlineMs = 60_000) =>
      until(
        async () => (await fetch(`${url}/ready`).catch(() => undefined))?.ok === true,
        deadlineMs,
        () => pods.output,
      )
    const { verdicts, audit } = await conclude(
      { root, url, ready, aggregator: pods },
      [truth],
      { name: 'in a cluster', seed },
      120_000,
    )
    for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
    expect(audit.totals).toMatchObject({ lostBytes: 0, missingBytes: 0 })
  }, 300_000)
})
