/** What the collector's service account may do on a real API server, and that it is what a collector needs: one runs with its token. */
import { appendFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { query } from '../harness/aggregator.ts'
import { Pipeline, until } from '../harness/processes.ts'
import { ApiClient } from './api.ts'
import { Cluster } from './cluster.ts'
import { type ClusterPod, isReady } from './nodes.ts'
import { clusterTools } from './tools.ts'

const tools = clusterTools()
const namespace = 'logging'
const names = { collector: 'logs-tributary-collector', aggregator: 'logs-tributary-aggregator' }
const nodes = ['node-1', 'node-2']

const shop = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'cart' } },
    template: {
      metadata: { labels: { app: 'cart' } },
      spec: {
        containers: [{ name: 'main', image: 'shop/cart:7' }],
        topologySpreadConstraints: [
          {
            ...{ maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' },
            labelSelector: { matchLabels: { app: 'cart' } },
          },
        ],
      },
    },
  },
}

interface Resource {
  readonly group: string
  readonly version: string
  readonly name: string
  readonly verbs: readonly string[]
}

describe.skipIf(tools === undefined)('a service account', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await Cluster.start(tools!, nodes, 2)
    await cluster.namespace(namespace, { 'pod-security.kubernetes.io/enforce': 'privileged' })
    await cluster.namespace('shop', { team: 'checkout' })
    const values = { collector: { config: { kubernetes: { namespaceLabels: ['team'] } } } }
    await cluster.release('install', namespace, values, '--wait', '--timeout', '60s')
  }, 300_000)
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  async function tokenOf(account: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } }
    return (await cluster.api.call('POST', path, request)).status.token
  }

  /** All resources that this API server has, with subresources. */
  async function resources(): Promise<Resource[]> {
    const groups = (await cluster.api.get('/apis')).groups as { preferredVersion: { groupVersion: string } }[]
    const versions = ['v1', ...groups.map(({ preferredVersion }) => preferredVersion.groupVersion)]
    const lists = versions.map(async (groupVersion) => {
      const list = await cluster.api.get(`${groupVersion === 'v1' ? '/api' : '/apis'}/${groupVersion}`)
      const [group, version] = groupVersion === 'v1' ? ['', 'v1'] : groupVersion.split('/')
      return (list.resources as { name: string; verbs: string[] }[]).map(({ name, verbs }) => ({
        ...{ group: group!, version: version!, name, verbs },
      }))
    })
    return (await Promise.all(lists)).flat()
  }

  /** Everything that a token may do anywhere, as `verb resource`, asked of the API server one by one. */
  async function allowed(token: string): Promise<{ asked: number; allowed: string[] }> {
    const client = new ApiClient(cluster.plane.server, token)
    // Some verbs are none of a resource's own: to act as somebody, and to take what one does not have.
    const more = [
      { group: '', version: 'v1', name: 'users', verbs: ['impersonate'] },
      { group: 'rbac.authorization.k8s.io', version: 'v1', name: 'clusterroles', verbs: ['bind', 'escalate'] },
      { group: '', version: 'v1', name: 'nodes/proxy', verbs: ['get', 'create'] },
    ]
    const questions = [...(await resources()), ...more].flatMap(({ group, name, verbs }) =>
      verbs.flatMap((verb) => ['', namespace, 'kube-system'].map((where) => ({ group, name, verb, where }))),
    )
    const yes = new Set<string>()
    const waiting = [...questions]
    const askNext = async () => {
      for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
        const [resource, subresource = ''] = one.name.split('/')
        const resourceAttributes = { group: one.group, resource, subresource, verb: one.verb, namespace: one.where }
        const review = {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes },
        }
        const { status } = await client.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review)
        if (status.allowed) yes.add(`${one.verb} ${one.name}`)
      }
    }
    await Promise.all(Array.from({ length: 8 }, askNext))
    return { asked: questions.length, allowed: [...yes].sort() }
  }

  /** What Kubernetes lets every service account do. */
  const ofAnybody = [
    'create selfsubjectaccessreviews',
    'create selfsubjectreviews',
    'create selfsubjectrulesreviews',
    ...['get', 'list', 'watch'].map((verb) => `${verb} clustertrustbundles`),
  ]

  test('of collectors may list and watch pods and, as its values ask for their labels, namespaces; nothing else of all that there is', async () => {
    const { asked, allowed: may } = await allowed(await tokenOf(names.collector))
    expect(asked).toBeGreaterThan(500)
    const own = ['list namespaces', 'list pods', 'watch namespaces', 'watch pods']
    expect(may).toEqual([...ofAnybody, ...own].sort())
  }, 120_000)

  test('of collectors has no rule that names more than that', async () => {
    const client = new ApiClient(cluster.plane.server, await tokenOf(names.collector))
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } }
    const { status } = await client.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', review)
    const rules = (status.resourceRules as { verbs: string[]; resources: string[] }[]).filter(
      (rule) => !rule.resources.every((name) => ofAnybody.some((one) => one.endsWith(` ${name}`))),
    )
    expect(rules).toEqual([{ verbs: ['list', 'watch'], apiGroups: [''], resources: ['pods', 'namespaces'] }])
    expect(status.nonResourceRules.every((rule: { verbs: string[] }) => rule.verbs.join() === 'get')).toBe(true)
  })

  test('of collectors is refused what it was not given', async () => {
    const client = new ApiClient(cluster.plane.server, await tokenOf(names.collector))
    const [pod] = await cluster.pods(namespace, 'aggregator')
    const pods = `/api/v1/namespaces/${namespace}/pods/${pod!.metadata.name}`
    for (const [method, path] of [
      ['GET', `/api/v1/namespaces/${namespace}/secrets`],
      ['GET', `/api/v1/namespaces/${namespace}/secrets/logs-tributary-shared-key`],
      ['GET', '/api/v1/nodes'],
      ['GET', pods],
      ['GET', `${pods}/log`],
      ['POST', `${pods}/exec?command=sh`],
      ['DELETE', pods],
    ] as const)
      expect((await client.ask(method, path)).status, `${method} ${path}`).toBe(403)
    expect((await client.ask('GET', '/api/v1/pods')).status).toBe(200)
  })

  test('of aggregators may do nothing, and its token is not even in their pods', async () => {
    expect((await allowed(await tokenOf(names.aggregator))).allowed).toEqual([...ofAnybody].sort())
    const volumes = async (component: string) => {
      const [pod] = await cluster.pods(namespace, component)
      return (pod!.spec as unknown as { volumes: { name: string }[] }).volumes.map(({ name }) => name)
    }
    expect((await volumes('aggregator')).filter((name) => name.startsWith('kube-api-access'))).toEqual([])
    expect((await volumes('collector')).filter((name) => name.startsWith('kube-api-access'))).toHaveLength(1)
  }, 120_000)

  test('is enough for a collector: it knows the pods of its node, and what changes on them', async () => {
    await cluster.api.call('POST', '/apis/apps/v1/namespaces/shop/deployments', shop)
    const carts = async () => (await cluster.api.get('/api/v1/namespaces/shop/pods')).items as ClusterPod[]
    await until(
      async () => (await carts()).filter(isReady).length === 2,
      60_000,
      () => 'no pods are made of the Deployment',
    )
    const here = (await carts()).find(({ spec }) => spec.nodeName === nodes[0])!
    const kubeconfig = cluster.plane.kubeconfig(await tokenOf(names.collector))
    const kubernetes = { enabled: true, kubeconfig, namespaceLabels: ['team'], labels: ['release'] }
    await using pipeline = await Pipeline.start({ collector: { node: nodes[0], kubernetes } })
    const line = logOf(pipeline, here)
    line('first')
    const found = async (text: string) => await query(pipeline, `{namespace="shop"} |= "${text}"`)
    const said = () => pipeline.collector.output
    await until(async () => (await found('first')).length === 1, 60_000, said, 200)
    const [first] = await found('first')
    expect(first!.stream).toMatchObject({
      ...{ namespace: 'shop', pod: here.metadata.name, container: 'main', node: nodes[0], app: 'cart' },
      ...{ pod_uid: here.metadata.uid, image: 'shop/cart:7', workload_kind: 'Deployment', workload_name: 'cart' },
      namespace_label_team: 'checkout',
    })
    expect(first!.stream).not.toHaveProperty('partial_metadata')

    // A watch, not a look at the start: a label that comes later is on what is written later.
    const path = `/api/v1/namespaces/shop/pods/${here.metadata.name}`
    await cluster.api.call('PATCH', path, { metadata: { labels: { release: 'canary' } } })
    await until(
      async () => {
        line('later')
        return (await found('later')).some(({ stream }) => stream['label_release'] === 'canary')
      },
      60_000,
      said,
      300,
    )
    // Of its own node, all of them and no other.
    const { items } = await cluster.api.get(`/api/v1/pods?fieldSelector=spec.nodeName%3D${nodes[0]}`)
    const page = await pipeline.metrics('collector')
    expect(/^collector_pods\{state="present"\} (\d+)/m.exec(page)?.[1]).toBe(String(items.length))
    expect(page).not.toMatch(/^collector_api_errors_total\{.*\} [1-9]/m)

    // It is deleted and another one made in its place, whom the collector knows from the watch as well.
    await cluster.api.call('DELETE', path)
    let next: ClusterPod | undefined
    await until(
      async () => {
        next = (await carts()).find(
          ({ spec, metadata }) => spec.nodeName === nodes[0] && metadata.uid !== here.metadata.uid,
        )
        return next !== undefined && isReady(next)
      },
      60_000,
      () => 'the pod is not replaced',
    )
    logOf(pipeline, next!)('replaced')
    await until(async () => (await found('replaced')).length === 1, 60_000, said, 200)
    const [replaced] = await found('replaced')
    expect(replaced!.stream).toMatchObject({ pod: next!.metadata.name, app: 'cart', workload_name: 'cart' })
  }, 180_000)

  test('that may not list pods: the collector says what is missing, and collects all the same', async () => {
    const kubeconfig = cluster.plane.kubeconfig(await tokenOf(names.aggregator))
    const kubernetes = { enabled: true, kubeconfig, metadataTimeout: '200ms' }
    await using pipeline = await Pipeline.start({ collector: { node: nodes[0], kubernetes } })
    const uid = 'b5e8f0c4-6f0e-4c53-9a51-5a6d0f2f7a11'
    logOf(pipeline, { metadata: { name: 'unknown-0', namespace: 'shop', uid } } as ClusterPod)('all the same')
    await until(
      async () => (await query(pipeline, '{namespace="shop"}')).length === 1,
      60_000,
      () => pipeline.collector.output,
      200,
    )
    const [read] = await query(pipeline, '{namespace="shop"}')
    expect(read!.stream).toMatchObject({ pod: 'unknown-0', partial_metadata: 'true' })
    expect(pipeline.collector.output).toMatch(/forbidden/i)
  }, 120_000)
})

/** A pod's log as a kubelet and a runtime lay it; takes lines. */
function logOf({ logs }: Pipeline, { metadata: { namespace: of, name, uid } }: ClusterPod): (text: string) => void {
  const directory = join(logs, 'pods', `${of}_${name}_${uid}`, 'main')
  mkdirSync(directory, { recursive: true })
  const file = join(directory, '0.log')
  const link = join(logs, 'containers', `${name}_${of}_main-${'c'.repeat(64)}.log`)
  symlinkSync(file, link)
  return (text) => appendFileSync(file, `${new Date().toISOString().replace('Z', '000000Z')} stdout F ${text}\n`)
}
