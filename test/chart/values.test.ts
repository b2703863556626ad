/** Every key of values.yaml does something, and nothing that is done can make an upgrade fail. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import {
  chart,
  type KubernetesObject,
  objectsOf,
  render,
  scenarios,
  type Tree,
  withoutSecrets,
  withValue,
} from './render.ts'
import { chartTools, noTools } from './tools.ts'

const tools = chartTools()
const values = parse(readFileSync(`${chart}/values.yaml`, 'utf8')) as Tree
const scenario = (name: string) => scenarios().find(([one]) => one === name)![1]

/** Where most is on, so that what is changed shows; certificates from elsewhere, because making some takes long. */
const everything = withValue(scenario('everything'), 'forward.tls.existingSecrets', { aggregator: 'a', collector: 'b' })
/** Its pod has what aggregators have: what only changes that pod would show no dead key. */
const withoutTest = withValue(everything, 'test.enabled', false)
const certManager = withValue(everything, 'forward.tls', { certManager: { enabled: true } })
const embedded = withValue(withValue(everything, 'store', {}), 'clickhousePassword', { existingSecret: '' })
const oneAggregator = withValue(withValue(embedded, 'aggregator.autoscaling.enabled', false), 'store', {
  engine: 'embedded',
})

/** What each key is set to, and beside which values where `everything` would hide it. Keys not listed get another of their type. */
const changes: Readonly<Record<string, { readonly to?: unknown; readonly beside?: Tree }>> = {
  store: { to: { engine: 'clickhouse', clickhouse: { url: 'http://another:8123' } } },
  'collector.config': { beside: withValue(everything, 'collector.hostPort', false), to: { forward: { window: 7 } } },
  'collector.image.tag': { beside: withValue(everything, 'collector.image', { digest: '' }) },
  'collector.image.pullPolicy': { to: 'Always' },
  'collector.image.digest': { to: 'sha256:00' },
  'collector.ownLogs.keep': { to: 'all' },
  'collector.hostPaths': { to: ['/logs'] },
  'collector.stateHostPath': { to: '/state' },
  'collector.serviceAccount.create': { to: false },
  'aggregator.enabled': {
    beside: withValue(scenario('collectors-only'), 'forward.tls.existingSecrets.aggregator', 'a'),
    to: true,
  },
  'httpRoute.hostnames': { to: ['another'] },
  'test.env': { to: [{ name: 'TRIBUTARY_TOKEN', value: 'another' }] },
  'aggregator.replicas': { beside: withValue(everything, 'aggregator.autoscaling.enabled', false), to: 5 },
  'aggregator.config': { to: { load: { blockRows: 7 } } },
  'aggregator.image.digest': { to: 'sha256:00' },
  'aggregator.image.pullPolicy': { to: 'Always' },
  'aggregator.service.type': { to: 'NodePort' },
  'aggregator.topologySpread.whenUnsatisfiable': { to: 'DoNotSchedule' },
  'forward.tls.enabled': { beside: withValue(everything, 'forward.tls', {}) },
  'forward.tls.mutual': { beside: certManager },
  'forward.tls.certManager.enabled': { beside: withValue(everything, 'forward.tls', {}), to: true },
  'forward.tls.certManager.issuerRef': { beside: certManager, to: { kind: 'ClusterIssuer', name: 'i' } },
  'test.timeout': { to: '1m' },
}

const leaves = (tree: Tree, path = ''): [path: string, value: unknown][] =>
  Object.entries(tree).flatMap(([key, value]) => {
    const at = path === '' ? key : `${path}.${key}`
    const section = typeof value === 'object' && value !== null && !Array.isArray(value)
    return section && Object.keys(value).length > 0 && changes[at] === undefined && !isMap.has(at)
      ? leaves(value as Tree, at)
      : [[at, value]]
  })

/** Values that are one map each. */
const isMap = new Set([
  'collector.resources',
  'aggregator.resources',
  'monitoring.dashboards.labels',
  'monitoring.datasource.labels',
])

function another(value: unknown, path: string): unknown {
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string') return /%$/.test(value) ? '20%' : /^\d+[sm]$/.test(value) ? '7s' : 'another'
  if (Array.isArray(value)) return /secrets$/.test(path) ? ['another'] : [{ name: 'another', key: 'another' }]
  return /affinity$/i.test(path)
    ? { podAntiAffinity: {} }
    : /resources$/.test(path)
      ? { limits: { cpu: '7' } }
      : { another: 'another' }
}

describe.skipIf(tools === undefined)('values', () => {
  const { helm } = tools ?? noTools
  const rendering = async (of: Tree) => JSON.stringify(withoutSecrets(await objectsOf(render(helm, of))))
  const before = new Map<Tree, Promise<string>>()
  const renderingBefore = (of: Tree) => before.get(of) ?? before.set(of, rendering(of)).get(of)!

  test.concurrent.for(leaves(values))(
    '$0 changes what is rendered',
    { timeout: 60_000 },
    async ([path, value], { expect }) => {
      const { to, beside = path.startsWith('test.') ? everything : withoutTest } = changes[path] ?? {}
      const [key, ...rest] = path.split('.')
      const current = rest.reduce((at, one) => (at as Tree | undefined)?.[one], (beside as Tree)[key!]) ?? value
      const changed = await rendering(withValue(beside, path, to ?? another(current, path)))
      // Not a plain comparison: its message would be the whole rendering, twice.
      expect(changed === (await renderingBefore(beside)), `${path} changes nothing`).toBe(false)
    },
  )

  /** What Kubernetes lets nobody change. */
  const fixed = (objects: readonly KubernetesObject[]) =>
    objects.flatMap(({ kind, metadata: { name }, spec }) => {
      const all = spec as {
        selector: unknown
        serviceName?: string
        volumeClaimTemplates?: unknown
        podManagementPolicy?: string
      }
      const { selector, serviceName, podManagementPolicy, volumeClaimTemplates } = all ?? {}
      if (kind === 'DaemonSet') return [{ kind, name, selector }]
      if (kind === 'StatefulSet')
        return [{ kind, name, selector, serviceName, podManagementPolicy, volumeClaimTemplates }]
      return kind === 'Service' ? [{ kind, name, selector }] : []
    })

  let newer: string
  beforeAll(() => {
    newer = mkdtempSync(join(tmpdir(), 'tributary-chart-'))
    cpSync(chart, newer, { recursive: true })
    const text = readFileSync(`${chart}/Chart.yaml`, 'utf8')
    writeFileSync(join(newer, 'Chart.yaml'), text.replaceAll(/ersion: 0\.1\.0/g, 'ersion: 7.8.9+build'))
  })
  afterAll(() => rmSync(newer, { recursive: true, force: true }))

  test('a newer chart with other values selects the same pods and claims the same volumes', {
    timeout: 60_000,
  }, async () => {
    const quick = { forward: { tls: { existingSecrets: { aggregator: 'a', collector: 'b' } } } }
    const first = fixed(await objectsOf(render(helm, quick)))
    const later = withValue(withValue(everything, 'aggregator.persistence', {}), 'aggregator.service', {})
    expect(fixed(await objectsOf(render(helm, later, { directory: newer })))).toEqual(first)
    // Written out: whoever changes these breaks every installation there is.
    const labels = { 'app.kubernetes.io/name': 'tributary', 'app.kubernetes.io/instance': 'logs' }
    const aggregator = { ...labels, 'app.kubernetes.io/component': 'aggregator' }
    const collector = { ...labels, 'app.kubernetes.io/component': 'collector' }
    expect(first).toContainEqual({
      kind: 'DaemonSet',
      name: 'logs-tributary-collector',
      selector: { matchLabels: collector },
    })
    expect(first).toContainEqual({
      kind: 'StatefulSet',
      name: 'logs-tributary-aggregator',
      selector: { matchLabels: aggregator },
      serviceName: 'logs-tributary-aggregator-headless',
      podManagementPolicy: 'Parallel',
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '50Gi' } } },
        },
      ],
    })
    expect(first.filter(({ kind }) => kind === 'Service')).toHaveLength(3)
  })

  test('one aggregator with the embedded store renders beside everything else', async () => {
    expect((await render(helm, oneAggregator)).stderr).toBe('')
  })
})
