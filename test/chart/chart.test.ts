/** What helm makes of the chart in every scenario of charts/tributary/ci. */

import { X509Certificate } from 'node:crypto'
import { aggregatorConfig } from '@tributary/aggregator/config.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { chart, find, type KubernetesObject, objectsOf, render, run, scenarios, type Tree } from './render.ts'
import { chartTools, noTools } from './tools.ts'

const tools = chartTools()
const all = scenarios()

describe.skipIf(tools === undefined)('the chart', () => {
  const { helm, kubeconform, schemas, versions } = tools ?? noTools
  const rendered = new Map<string, KubernetesObject[]>()
  const of = (name: string) => rendered.get(name)!
  beforeAll(async () => {
    for (const [name, values] of all) rendered.set(name, await objectsOf(render(helm, values)))
  })

  test('helm lint finds nothing', async () => {
    const { ok, stdout, stderr } = await run(helm, ['lint', '--strict', chart, '--set', 'cluster=c'])
    expect([ok, `${stdout}${stderr}`]).toEqual([true, expect.stringContaining('0 chart(s) failed')])
  })

  test('three minor versions of Kubernetes have their schemas here', () => {
    expect(new Set(versions.map((version) => version.split('.')[1]))).toHaveProperty('size', 3)
  })

  const validate = (objects: readonly Tree[], version: string) => {
    const locations = [`v${version}`, 'custom'].flatMap((directory) => [
      '-schema-location',
      `${schemas}/${directory}/{{.ResourceKind}}{{.KindSuffix}}.json`,
    ])
    const input = objects.map((object) => JSON.stringify(object)).join('\n---\n')
    return run(kubeconform, ['-strict', '-summary', '-kubernetes-version', version, ...locations, '-'], input)
  }

  test.for(versions)('every object is what Kubernetes %s and the custom resources take', async (version) => {
    const objects = [...rendered.values()].flat()
    const { ok, stdout, stderr } = await validate(objects, version)
    expect([ok, stdout + stderr]).toEqual([true, expect.stringContaining(`${objects.length} resources found`)])
    expect(stdout).toMatch(/Invalid: 0, Errors: 0, Skipped: 0/)
  })

  test('an unknown key, a wrong type and a missing one would be found', async () => {
    const [version] = versions
    const good = find(of('default'), 'StatefulSet', 'logs-tributary-aggregator')
    const monitor = find(of('everything'), 'ServiceMonitor', 'logs-tributary-aggregator')
    for (const bad of [
      { ...good, spec: { ...good.spec, replica: 1 } },
      { ...good, spec: { ...good.spec, replicas: 'one' } },
      { ...good, spec: { ...good.spec, selector: undefined } },
      { ...monitor, spec: { ...monitor.spec, endpoint: [] } },
    ])
      expect(await validate([bad], version!)).toMatchObject({
        ok: false,
        stdout: expect.stringContaining('Invalid: 1'),
      })
  })

  const file = (objects: readonly KubernetesObject[], name: 'collector' | 'aggregator') =>
    find(objects, 'ConfigMap', `logs-tributary-${name}`).data[`${name}.yaml`]!
  const environment = { NODE_NAME: 'node-7' }

  test.for(all)('$0: the configuration files are what the processes take', ([name]) => {
    const collector = parseConfig('collector.yaml', file(of(name), 'collector'), collectorConfig, environment)
    expect(collector.node).toBe('node-7')
    if (name !== 'collectors-only') parseConfig('aggregator.yaml', file(of(name), 'aggregator'), aggregatorConfig)
  })

  const podOf = (objects: readonly KubernetesObject[], kind: 'DaemonSet' | 'StatefulSet') => {
    const workload = objects.find((object) => object.kind === kind)!
    return (workload.spec as { template: { spec: PodSpec } }).template.spec
  }
  interface PodSpec {
    readonly terminationGracePeriodSeconds: number
    readonly securityContext: Tree
    readonly automountServiceAccountToken?: boolean
    readonly containers: readonly Container[]
    readonly volumes: readonly { readonly name: string }[]
    readonly hostNetwork?: boolean
  }
  interface Container {
    readonly securityContext: Tree
    readonly resources: Tree
    readonly ports: readonly { name: string; containerPort: number; hostPort?: number }[]
    readonly volumeMounts: readonly { name: string; mountPath: string; readOnly?: boolean }[]
  }

  test.for(all)('$0: pods have the time that a stop may take', ([name]) => {
    const collector = parseConfig('collector.yaml', file(of(name), 'collector'), collectorConfig, environment)
    const { drain, spool } = collector.shutdown
    expect(podOf(of(name), 'DaemonSet').terminationGracePeriodSeconds * 1000).toBeGreaterThan(drain + spool)
    if (name === 'collectors-only') return
    const aggregator = parseConfig('aggregator.yaml', file(of(name), 'aggregator'), aggregatorConfig)
    const grace = podOf(of(name), 'StatefulSet').terminationGracePeriodSeconds * 1000
    expect(grace).toBeGreaterThan(aggregator.shutdown.drain + 5000)
  })

  test.for(all)(
    '$0: every file that the configuration names is mounted, and nothing of the node can be written but its state',
    ([name]) => {
      for (const [kind, process] of [
        ['DaemonSet', 'collector'],
        ['StatefulSet', 'aggregator'],
      ] as const) {
        if (name === 'collectors-only' && process === 'aggregator') continue
        const pod = podOf(of(name), kind)
        const mounts = pod.containers[0]!.volumeMounts
        for (const [, path] of file(of(name), process).matchAll(/File: (\S+)/g))
          expect(
            mounts.some(({ mountPath }) => path!.startsWith(`${mountPath}/`)),
            path,
          ).toBe(true)
        const writable = mounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath)
        expect(writable.sort()).toEqual(['/tmp', `/var/lib/tributary/${process}`])
      }
    },
  )

  test.for(all)('$0: pods have no more rights than they need', ([name]) => {
    const pods = of(name)
      .filter(({ kind }) => ['DaemonSet', 'StatefulSet', 'Pod'].includes(kind))
      .map(
        ({ kind, spec }) =>
          [kind, (kind === 'Pod' ? spec : (spec as { template: Tree }).template['spec']) as PodSpec] as const,
      )
    for (const [kind, pod] of pods) {
      expect(pod.hostNetwork).toBeUndefined()
      expect(pod.securityContext).toMatchObject({
        seccompProfile: { type: 'RuntimeDefault' },
        ...(kind === 'DaemonSet' ? { runAsUser: 0 } : { runAsNonRoot: true, fsGroup: 10001 }),
      })
      if (kind !== 'DaemonSet') expect(pod.automountServiceAccountToken).toBe(false)
      expect(pod.containers[0]!.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
    }
    const roles = of(name).filter(({ kind }) => kind === 'ClusterRole')
    const resources = name === 'everything' ? ['pods', 'namespaces'] : ['pods']
    expect(roles.map((role) => role['rules'])).toEqual(
      name === 'no-auth' ? [] : [[{ apiGroups: [''], resources, verbs: ['list', 'watch'] }]],
    )
  })

  test('without values, collectors and aggregators share a key and certificates that fit', () => {
    const collector = parseConfig('c', file(of('default'), 'collector'), collectorConfig, environment).aggregator
    const aggregator = parseConfig('a', file(of('default'), 'aggregator'), aggregatorConfig).forward
    expect(collector).toMatchObject({
      address: [{ address: 'logs-tributary-aggregator-headless.logging.svc:forward' }],
      tls: { enabled: true },
      sharedKeyFile: aggregator.sharedKeyFile,
    })
    const secret = (name: string, key: string) =>
      Buffer.from(find(of('default'), 'Secret', `logs-tributary-${name}`).data[key]!, 'base64').toString()
    expect(secret('shared-key', 'shared-key')).toMatch(/^\w{48}$/)
    const authority = new X509Certificate(secret('collector-tls', 'ca.crt'))
    const server = new X509Certificate(secret('aggregator-tls', 'tls.crt'))
    const client = new X509Certificate(secret('collector-tls', 'tls.crt'))
    for (const certificate of [server, client]) expect(certificate.verify(authority.publicKey)).toBe(true)
    expect(server.checkHost('logs-tributary-aggregator-headless.logging.svc')).toBeDefined()
    const service = find(of('default'), 'Service', 'logs-tributary-aggregator-headless').spec
    expect(service).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true, ports: [{ name: 'forward' }] })
  })

  test.for([
    {
      name: 'default',
      says: [
        'StatefulSet logs-tributary-aggregator, store: embedded',
        'asks for no credentials',
        'Only pods of this namespace may',
      ],
    },
    { name: 'no-auth', says: ['WARNING: whoever can connect may send logs', 'WARNING: logs travel unencrypted'] },
    { name: 'everything', says: ['curl -G https://localhost:3100', 'those of networkPolicy.clients'] },
  ])(
    'what helm says after an install of $name names what runs, and how to see the first lines',
    async ({ name, says }) => {
      const values = JSON.stringify(all.find(([one]) => one === name)![1])
      const install = ['install', 'logs', chart, '--namespace', 'logging', '--dry-run=client', '--values', '-']
      const { stdout } = await run(helm, install, values)
      const notes = stdout.slice(stdout.indexOf('NOTES:'))
      for (const said of [
        'DaemonSet logs-tributary-collector',
        'helm -n logging test logs',
        'port-forward service/logs-tributary-aggregator 3100',
        ...says,
      ])
        expect(notes).toContain(said)
    },
  )

  test('the port of applications is open on the node only where it is asked for', () => {
    const ports = (name: string) => podOf(of(name), 'DaemonSet').containers[0]!.ports
    expect(ports('default').map(({ hostPort }) => hostPort)).toEqual([undefined])
    expect(ports('everything').map(({ hostPort }) => hostPort)).toEqual([undefined, 24224, 24224])
  })

  test('what a collector takes while it runs rolls no pod, anything else does', async () => {
    const { liveKeys } = await import('@tributary/collector/reload/config-change.ts')
    const checksum = async (config: Tree) => {
      const objects = await objectsOf(render(helm, { forward: { tls: { enabled: false } }, collector: { config } }))
      const template = find(objects, 'DaemonSet', 'logs-tributary-collector').spec['template'] as KubernetesObject
      return template.metadata.annotations!['checksum/config']
    }
    const live = {
      logs: {
        include: [{ namespace: 'a' }],
        exclude: [{ pod: 'b' }],
        scanInterval: '2s',
        flushInterval: '1s',
        partialTimeout: '5s',
      },
      multiline: { maxLines: 10 },
      parsers: { a: { regex: '(?P<a>x)' } },
      filters: [{ sample: { rate: 0.5 } }],
      limits: { openFiles: 100 },
      kubernetes: { labels: ['a'], annotations: ['b'], promote: { c: 'c' }, imageId: true, metadataTimeout: '1s' },
      shutdown: { drain: '10s' },
      log: { level: 'debug' },
    }
    const keys = Object.entries(live).flatMap(([section, value]) =>
      section === 'logs' || section === 'kubernetes' ? Object.keys(value).map((key) => `${section}.${key}`) : [section],
    )
    expect(keys.sort(), 'keys tried here').toEqual([...liveKeys].sort())
    const before = await checksum({})
    expect(await checksum(live)).toBe(before)
    expect(await checksum({ ...live, forward: { window: 8 } })).not.toBe(before)
    expect(await checksum({ logs: { ...live.logs, maxLineBytes: '1MiB' } })).not.toBe(before)
  })
})
