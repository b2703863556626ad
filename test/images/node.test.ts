/**
 * A whole node: the images as the chart's DaemonSet and StatefulSet start them, with what helm renders (arguments, mounts, users, capabilities,
 * limits, key and certificates), while containers write and rotate as under a kubelet. Pods are killed and replaced; every line is found once.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeTruth, type Truth } from 'tributary/generate/truth.ts'
import { metric } from 'tributary/status-line.ts'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { find, objectsOf, render, type Tree, withValue } from '../chart/render.ts'
import { chartTools } from '../chart/tools.ts'
import { dnsmasq } from '../harness/dnsmasq.ts'
import { cluster } from '../harness/processes.ts'
import { chooseSeed, conclude, wholeVerdict } from '../integrity/run.ts'
import { blocksOf } from './commands.ts'
import { addressOf, buildImages, docker, dockerMissing, images, inspect, uniqueName } from './docker.ts'
import { Machine, type Pod } from './machine.ts'

const tools = chartTools()
const missing = dockerMissing('root')
const skipped = missing !== undefined || tools === undefined || dnsmasq === undefined
const seed = chooseSeed()
const namespace = 'logging'
const names = { collector: 'logs-tributary-collector', aggregator: 'logs-tributary-aggregator' }
const headless = `${names.aggregator}-headless`

interface Writing {
  readonly containers: number
  readonly rate: number
  readonly seconds: number
}

/** Containers that write to the node's /var/log as root, with the modes that a runtime gives them, for a while. */
async function write(machine: Machine, { containers, rate, seconds }: Writing): Promise<() => Promise<Truth>> {
  const container = uniqueName('writer')
  const log = machine.directory('/var/log')
  const flags = `--containers ${containers} --rate ${rate} --duration ${seconds}s --seed ${seed} --rotate-bytes 64KiB --partial 2 --piece-bytes 300`
  await docker(
    ...['run', '--detach', '--name', container, '--user', '0:0', '--volume', `${log}:/var/log`, '--entrypoint', 'sh'],
    ...[
      images.aggregator,
      '-c',
      `umask 027; exec tributary generate --out /var/log ${flags} --summary /var/log/truth.json`,
    ],
  )
  return async () => {
    const status = await docker('wait', container)
    if (status !== '0') throw new Error(await docker('logs', container))
    await docker('rm', container)
    return decodeTruth(readFileSync(`${log}/truth.json`, 'utf8'))
  }
}

/** Kills a pod without a warning, and has it replaced at once, or after a while. */
async function replace(pod: Pod, afterMs: number): Promise<void> {
  const { Running, OOMKilled } = await pod.state()
  expect({ pod: pod.fields.name, Running, OOMKilled }).toMatchObject({ Running: true, OOMKilled: false })
  await pod.kill()
  await sleep(afterMs)
  await pod.start()
}

/** Waits until all is stored, and compares it with what was written. */
async function judge(name: string, machine: Machine, asked: Pod, truth: Truth, kills: number): Promise<void> {
  const ready = (deadlineMs?: number) => asked.probed('readinessProbe', deadlineMs)
  const pipeline = { root: machine.root, url: asked.url, ready, aggregator: asked }
  const what = { name, seed, events: { 'pods killed and replaced': kills } }
  const { verdicts, audit } = await conclude(pipeline, [truth], what, 120_000)
  const lines = truth.containers.reduce((sum, one) => sum + one.lines, 0)
  expect(verdicts).toEqual([{ expected: lines, read: lines, ...wholeVerdict }])
  expect(audit).toMatchObject({ ok: true, caughtUp: true, totals: { missingBytes: 0, lostBytes: 0 } })
}

describe.skipIf(skipped)('a node', () => {
  beforeAll(buildImages, 600_000)

  test('the chart names the images that are made', async () => {
    const objects = await objectsOf(render(tools!.helm, {}))
    const image = (kind: string, name: string) =>
      (find(objects, kind, name).spec as { template: { spec: { containers: [{ image: string }] } } }).template.spec
        .containers[0].image
    expect(image('DaemonSet', names.collector)).toBe(images.collector)
    expect(image('StatefulSet', names.aggregator)).toBe(images.aggregator)
  })

  test('one aggregator with the embedded store: pods are killed and replaced, and each line is there once', async () => {
    const objects = await objectsOf(
      render(tools!.helm, { cluster, collector: { config: { kubernetes: { enabled: false } } } }),
    )
    await using machine = await Machine.start(objects, namespace)
    const aggregator = machine.pod('StatefulSet', names.aggregator, `${names.aggregator}-0`, [
      headless,
      names.aggregator,
    ])
    const collector = machine.pod('DaemonSet', names.collector, `${names.collector}-x7k2p`)
    await machine.publishPorts(headless, [aggregator.fields.name])
    machine.directory('/var/log/containers')
    const written = await write(machine, { containers: 20, rate: 1500, seconds: 20 })
    await Promise.all([aggregator.start(), collector.start()])
    await aggregator.probed('startupProbe')
    await collector.probed('startupProbe')
    await collector.probed('readinessProbe')
    // Started with what the chart says, of which nothing got lost on the way.
    const { HostConfig } = await inspect<{ HostConfig: Tree }>(collector.container)
    expect(HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: null,
      Privileged: false,
      Memory: 200 * 2 ** 20,
    })
    await sleep(2000)
    await replace(collector, 0)
    await sleep(2000)
    await replace(aggregator, 500)
    await aggregator.probed('startupProbe')
    await sleep(1000)
    await replace(collector, 1000)
    const truth = await written()
    // And once as a rollout ends it: within its grace period, with nothing left to do.
    expect(await aggregator.stop()).toBe(0)
    await aggregator.start()
    await judge('embedded store', machine, aggregator, truth, 3)
    // What `helm test` starts: its lines take the same way, and it looks for them by the Service's name.
    const verifier = machine.pod('Pod', 'logs-tributary-test', 'logs-tributary-test')
    await verifier.start()
    expect(await verifier.ended(), verifier.output).toBe(0)
    expect(verifier.output).toContain('100 of 100 lines found, each once')
    expect(await collector.stop()).toBe(0)
  }, 300_000)

  test('several aggregators behind one name, with ClickHouse: the same', async () => {
    // As the install page has it, but for the address of what stands in for ClickHouse, and fewer of them.
    const [page] = blocksOf('docs/install.md', 'Several aggregators', 'yaml')
    const url = 'http://clickhouse.clickhouse.svc:8123'
    const documented = withValue({ cluster, ...(parse(page!) as Tree) }, 'store.clickhouse.url', url)
    const tag = images.withoutEngine.split(':')[1]!
    const values = withValue(withValue(documented, 'aggregator.image.tag', tag), 'aggregator.replicas', 2)
    const objects = await objectsOf(render(tools!.helm, values))
    const password = { password: 'of the test' }
    await using machine = await Machine.start(objects, namespace, { clickhouse: password })
    await using engine = await Engine.start(machine, password.password)
    machine.name('clickhouse.clickhouse', engine.address)
    const aggregators = [0, 1].map((i) =>
      machine.pod('StatefulSet', names.aggregator, `${names.aggregator}-${i}`, [headless]),
    )
    const collector = machine.pod('DaemonSet', names.collector, `${names.collector}-x7k2p`)
    await machine.publishPorts(
      headless,
      aggregators.map(({ fields }) => fields.name),
    )
    machine.directory('/var/log/containers')
    const written = await write(machine, { containers: 20, rate: 1500, seconds: 25 })
    await Promise.all([...aggregators, collector].map((pod) => pod.start()))
    for (const pod of aggregators) await pod.probed('startupProbe')
    await collector.probed('readinessProbe')
    // Both have sources.
    for (const pod of aggregators)
      await expect.poll(() => metricOf(pod, 'aggregator_receive_records_total'), { timeout: 30_000 }).toBeGreaterThan(0)
    await replace(aggregators[1]!, 500)
    await sleep(2000)
    await replace(collector, 0)
    await aggregators[1]!.probed('startupProbe')
    await replace(aggregators[0]!, 0)
    const truth = await written()
    await aggregators[0]!.probed('startupProbe')
    await judge('two aggregators', machine, aggregators[1]!, truth, 3)
  }, 300_000)
})

async function metricOf(pod: Pod, name: string): Promise<number> {
  const answer = await fetch(`${pod.url}/metrics`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined)
  return answer?.ok ? (metric(await answer.text(), name) ?? 0) : 0
}

/** What stands in for a ClickHouse server: the engine of the image that has it. */
class Engine implements AsyncDisposable {
  readonly #container = uniqueName('engine')
  address = ''

  static async start(machine: Machine, password: string): Promise<Engine> {
    const engine = new Engine()
    const directory = machine.directory('/clickhouse')
    writeFileSync(`${directory}/password`, password)
    const options =
      '--directory /var/lib/tributary/store --listen 0.0.0.0 --username tributary --password-file /clickhouse/password'
    await docker(
      ...['run', '--detach', '--name', engine.#container, ...machine.networkArguments()],
      ...['--volume', `${directory}:/clickhouse:ro`, '--entrypoint', 'node', images.aggregator],
      ...['/opt/tributary/store-stand-in.mjs', ...options.split(' ')],
    )
    engine.address = await addressOf(engine.#container)
    return engine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await docker('rm', '--force', this.#container)
  }
}
