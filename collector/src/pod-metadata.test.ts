/** What the Kubernetes API tells, on the lines of a running collector. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KubeApi } from '../../test/harness/kube-api.ts'
import { makePod } from '../../test/harness/kube-objects.ts'
import { Sink } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

let root: string
let sink: Sink
let api: KubeApi
const running: RunningCollector[] = []

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-pods-'))
  mkdirSync(join(root, 'containers'))
  sink = await Sink.listen({ keep: true })
  api = await KubeApi.start()
})

afterEach(async () => {
  await stop()
  await sink[Symbol.asyncDispose]()
  await api.down()
  rmSync(root, { recursive: true, force: true })
})

const stop = () => Promise.all(running.splice(0).map((one) => one.close()))

async function start(
  kubernetes: object = {},
  logs: object = {},
  log = pino({ level: 'silent' }),
): Promise<RunningCollector> {
  const kubeconfig = join(root, 'kubeconfig')
  writeFileSync(kubeconfig, api.kubeconfig())
  const config = collectorConfig.parse({
    node: 'n1',
    stateDir: join(root, 'state'),
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    logs: { path: join(root, 'containers'), scanInterval: '50ms', flushInterval: '20ms', ...logs },
    kubernetes: { enabled: true, kubeconfig, ...kubernetes },
  })
  const collector = await startCollector(config, { log })
  running.push(collector)
  return collector
}

/** Writes a line to a container's log in the kubelet's layout. */
function write(pod: string, line: string, uid = `uid-${pod}`): void {
  const directory = join(root, 'pods', `shop_${pod}_${uid}`, 'main')
  mkdirSync(directory, { recursive: true })
  const link = join(root, 'containers', `${pod}_shop_main-${'a'.repeat(64)}.log`)
  appendFileSync(join(directory, '0.log'), `2026-11-23T12:00:00.000000000Z stdout F ${line}\n`)
  try {
    symlinkSync(join(directory, '0.log'), link)
  } catch {
    // There since the first line.
  }
}

const shop = (name: string, shape: object = {}) => makePod({ name, namespace: 'shop', uid: `uid-${name}`, ...shape })
const eventually = (what: () => unknown) => expect.poll(what, { interval: 10 })
const headerOf = (pod: string) => [...sink.sources.values()].find(({ header }) => header.labels['pod'] === pod)?.header

test('pods that live half a second have all of their metadata on their lines', async () => {
  await start()
  await eventually(() => api.openWatches).toBe(1)
  for (let i = 0; i < 5; i++) {
    api.put(shop(`job-${i}`, { owner: { kind: 'Job', name: 'backup-29000000' }, labels: { app: 'backup' } }))
    write(`job-${i}`, `line ${i}`)
    void sleep(500).then(() => api.delete(`uid-job-${i}`))
  }
  await eventually(() => sink.lines().length).toBe(5)
  for (let i = 0; i < 5; i++) {
    expect(headerOf(`job-${i}`)?.labels).toMatchObject({ app: 'backup', service_name: 'backup' })
    expect(headerOf(`job-${i}`)?.metadata).toMatchObject({
      workload_kind: 'CronJob',
      workload_name: 'backup',
      image: 'registry/main:1',
    })
    expect(headerOf(`job-${i}`)?.metadata).not.toHaveProperty('partial_metadata')
  }
})

test('lines wait for their pod, and no longer than they may', async () => {
  await api.down()
  const { metrics } = await start({ metadataTimeout: '400ms' })
  const before = performance.now()
  write('web', 'first')
  await eventually(() => sink.lines()).toEqual(['first'])
  expect(performance.now() - before).toBeGreaterThan(350)
  expect(headerOf('web')?.metadata).toMatchObject({ pod_uid: 'uid-web', partial_metadata: 'true' })
  expect(metrics.partialMetadata.total).toBe(1)
  await api.up()
  api.put(shop('web', { labels: { app: 'front' } }))
  await eventually(async () => (await metrics.pods.get()).values[0]?.value).toBe(1)
  write('web', 'second')
  await eventually(() => sink.lines()).toEqual(['first', 'second'])
  await eventually(() => headerOf('web')?.labels['app']).toBe('front')
  expect(metrics.partialMetadata.total).toBe(1)
})

test('a collector that starts without an API server knows the pods that it knew', async () => {
  api.put(shop('web', { labels: { app: 'front' } }))
  await start()
  write('web', 'first')
  await eventually(() => sink.lines()).toEqual(['first'])
  await stop()
  api.delete('uid-web')
  await api.down()
  sink.sources.clear()
  const { metrics } = await start({ metadataTimeout: '1h' })
  write('web', 'second')
  await eventually(() => sink.lines().at(-1)).toBe('second')
  expect(headerOf('web')?.labels['app']).toBe('front')
  expect(metrics.partialMetadata.total).toBe(0)
})

test('what an annotation or a rule leaves out is not read', async () => {
  api.put(shop('quiet', { annotations: { 'tributary.io/exclude': 'true' } }))
  api.put(shop('old', { annotations: { 'fluentbit.io/exclude': 'true' } }))
  api.put(shop('debug', { labels: { tier: 'debug' } }))
  api.put(shop('web'))
  const { metrics } = await start({}, { exclude: [{ labels: { tier: 'debug' } }, { pod: 'named-*' }] })
  for (const pod of ['quiet', 'old', 'debug', 'named-1', 'web']) write(pod, pod)
  await eventually(() => sink.lines()).toEqual(['web'])
  await eventually(
    async () => (await metrics.logs.get()).values.find(({ labels }) => labels['state'] === 'excluded')?.value,
  ).toBe(4)
  expect(sink.lines()).toEqual(['web'])
})

test('/why tells that the API server can not be asked', async () => {
  api.status = 403
  const { httpPort } = await start({ metadataTimeout: '50ms' })
  write('web', 'line')
  await eventually(() => sink.lines()).toEqual(['line'])
  const answer = await fetch(`http://127.0.0.1:${httpPort}/why?namespace=shop&pod=web`)
  expect(await answer.text()).toMatch(
    /told nothing of this pod in time.*allow the service account to list and watch pods/,
  )
})

test('rules by labels are told to match nothing where nobody is asked about pods', async () => {
  const said: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => said.push(line) })
  const logs = { include: [{ namespace: 'shop' }, { labels: { a: 'b' } }], exclude: [{ pod: 'x', labels: { a: 'c' } }] }
  await start({ enabled: true }, logs, log)
  await stop()
  expect(said).toEqual([])
  await start({ enabled: false }, logs, log)
  expect(said.map((line) => JSON.parse(line))).toMatchObject([
    { rules: ['logs.include[1]', 'logs.exclude[0]'], msg: expect.stringContaining('kubernetes.enabled') },
  ])
})
