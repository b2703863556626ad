/** What is random at the first install is kept by upgrades: helm looks it up in the cluster, here a few answers of an API server. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { chart, find, type KubernetesObject, objectsOf, run } from './render.ts'
import { chartTools } from './tools.ts'

const tools = chartTools()

/** Kinds that the chart renders without values, by group and version. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  v1: ['Secret', 'Service', 'ConfigMap', 'ServiceAccount', 'Pod', 'Namespace'],
  'apps/v1': ['DaemonSet', 'StatefulSet'],
  'networking.k8s.io/v1': ['NetworkPolicy'],
  'policy/v1': ['PodDisruptionBudget'],
  'rbac.authorization.k8s.io/v1': ['ClusterRole', 'ClusterRoleBinding'],
}
const plural = (kind: string) => kind.toLowerCase().replace(/y$/, 'ie').concat('s')

/** What helm adds when it installs, by which it knows its own. */
function installed(object: KubernetesObject): KubernetesObject {
  const annotations = { 'meta.helm.sh/release-name': 'logs', 'meta.helm.sh/release-namespace': 'logging' }
  return { ...object, metadata: { ...object.metadata, annotations } }
}

function answerTo(path: string, secrets: readonly KubernetesObject[]): object | undefined {
  if (path === '/version') return { major: '1', minor: '37', gitVersion: 'v1.37.2' }
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] }
  if (path === '/apis') {
    const groups = Object.keys(kinds).filter((one) => one.includes('/'))
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: groups.map((groupVersion) => {
        const [name, version] = groupVersion.split('/')
        return { name, versions: [{ groupVersion, version }], preferredVersion: { groupVersion, version } }
      }),
    }
  }
  const groupVersion = /^\/apis?\/([^/]+(?:\/v\d+)?)$/.exec(path)?.[1]
  if (groupVersion !== undefined && kinds[groupVersion] !== undefined) {
    const resources = kinds[groupVersion].map((kind) => {
      const namespaced = !/^Cluster|^Namespace$/.test(kind)
      return { name: plural(kind), singularName: kind.toLowerCase(), namespaced, kind, verbs: ['get', 'list'] }
    })
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources }
  }
  const name = /^\/api\/v1\/namespaces\/logging\/secrets\/(.+)$/.exec(path)?.[1]
  return secrets.find(({ metadata }) => metadata.name === name)
}

describe.skipIf(tools === undefined)('key and certificates', () => {
  let server: Server
  let secrets: KubernetesObject[]
  beforeAll(async () => {
    server = createServer(({ url }, response) => {
      const answer = answerTo(url!.split('?')[0]!, secrets)
      const missing = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 }
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answer ?? missing))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => server.close())
  beforeEach(() => {
    secrets = []
  })

  /** The Secrets that helm would send to this cluster. */
  async function rendered(): Promise<KubernetesObject[]> {
    const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const args = ['template', 'logs', chart, '--namespace', 'logging', '--dry-run=server', '--kube-apiserver', api]
    const objects = await objectsOf(run(tools!.helm, [...args, '--disable-openapi-validation']))
    return objects.filter(({ kind }) => kind === 'Secret')
  }
  const dataOf = (objects: readonly KubernetesObject[], name: string) =>
    find(objects, 'Secret', `logs-tributary-${name}`).data

  test('are the same after an upgrade, and others in another cluster', async () => {
    const first = await rendered()
    expect(first).toHaveLength(3)
    const other = await rendered()
    for (const name of ['shared-key', 'aggregator-tls', 'collector-tls'])
      expect(dataOf(other, name)).not.toEqual(dataOf(first, name))
    secrets = first.map(installed)
    const upgraded = await rendered()
    for (const name of ['shared-key', 'aggregator-tls', 'collector-tls'])
      expect(dataOf(upgraded, name)).toEqual(dataOf(first, name))
  })

  test('certificates of both sides are made anew together when one is gone: they have one authority', async () => {
    const first = await rendered()
    secrets = first.filter(({ metadata }) => metadata.name !== 'logs-tributary-collector-tls').map(installed)
    const upgraded = await rendered()
    const authority = dataOf(upgraded, 'collector-tls')['ca.crt']
    expect(dataOf(upgraded, 'aggregator-tls')['ca.crt']).toBe(authority)
    expect(authority).not.toBe(dataOf(first, 'collector-tls')['ca.crt'])
    expect(dataOf(upgraded, 'shared-key')).toEqual(dataOf(first, 'shared-key'))
  })
})
