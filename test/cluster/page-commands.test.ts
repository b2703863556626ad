/** Every command of kubectl and helm that a page shows is run, in the page's order, against a real API server. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chart, type Ran, run } from '../chart/render.ts'
import { until } from '../harness/processes.ts'
import { blocksOf } from '../images/commands.ts'
import { Cluster } from './cluster.ts'
import { isReady } from './nodes.ts'
import { commandsIn, commandsOn, pages } from './page-commands.ts'
import { clusterTools } from './tools.ts'

const tools = clusterTools()
const namespace = 'logging'
const aggregator = 'tributary-aggregator'
const nodes = ['node-1', 'node-2']
/** Whose commands follow from what came before: somebody installs, asks, restores and upgrades. */
const inOrder = [
  'README.md',
  'docs/install.md',
  'docs/migration.md',
  'docs/troubleshooting.md',
  'docs/backup.md',
  'docs/upgrade.md',
  'docs/clickhouse.md',
]

/** Those need a container: they get as far as to the node, which has none. */
const reachesNode = /^kubectl (-n \S+ )?(exec|port-forward) /
/** `test/images/node.test.ts` runs its pod. */
const elsewhere = /^helm test /

test('commands are found in blocks of code, in comments within them and in the text', () => {
  const text = [
    '```sh',
    'kubectl get pods \\',
    '  -o name   # which',
    'node=$(kubectl get node x) &',
    '```',
    'Say `kubectl -n a delete pod b` or `helm upgrade`.',
    '```yaml',
    'key: x # kubectl get secret x',
    '```',
  ].join('\n')
  expect(commandsIn(text)).toEqual([
    'kubectl get pods -o name',
    'node=$(kubectl get node x)',
    'kubectl -n a delete pod b',
    'kubectl get secret x',
  ])
})

test('every page with commands is run below', () => {
  expect(pages.filter((page) => commandsOn(page).length > 0).sort()).toEqual([...inOrder].sort())
})

describe.skipIf(tools === undefined)('commands of pages', () => {
  let cluster: Cluster
  let directory: string
  beforeAll(async () => {
    cluster = await Cluster.start(tools!, nodes, 6)
    directory = join(cluster.plane.root, 'clone')
    mkdirSync(directory)
    symlinkSync(dirname(chart), join(directory, 'charts'))
    writeFileSync(join(directory, 'values.yaml'), '{"aggregator": {"persistence": {"size": "50Gi"}}}')
    writeFileSync(join(directory, 'restore.yaml'), blocksOf('docs/backup.md', 'Restore', 'yaml')[0]!)
    writeFileSync(join(directory, 'tributary.tar'), '')
    await cluster.namespace('shop')
    await cluster.api.call('POST', '/api/v1/namespaces/shop/pods', {
      metadata: { name: 'cart-7d9f' },
      spec: { containers: [{ name: 'main', image: 'shop/cart:7' }] },
    })
  }, 300_000)
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  /** As somebody types it who stands in a clone of the repository. */
  function type(command: string): Promise<Ran> {
    const path = [dirname(tools!.kubectl), dirname(tools!.helm), process.env['PATH']].join(delimiter)
    return run('env', [`PATH=${path}`, `KUBECONFIG=${cluster.kubeconfig}`, 'bash', '-c', `cd ${directory}\n${command}`])
  }

  async function everybodyIsReady(): Promise<void> {
    const all = async () =>
      (await Promise.all(['collector', 'aggregator'].map((one) => cluster.pods(namespace, one)))).flat()
    await until(
      async () => (await all()).length === nodes.length + 1 && (await all()).every(isReady),
      60_000,
      () => 'not all pods are there and ready',
    )
  }

  async function runPage(page: string): Promise<void> {
    const assignments: string[] = []
    for (const { text } of commandsOn(page)) {
      if (elsewhere.test(text)) continue
      const command = [...assignments, text].join('\n')
      const ran = await type(command)
      if (reachesNode.test(text)) {
        expect(ran.ok).toBe(false)
        expect(ran.stderr, text).toMatch(/error dialing backend|no preferred addresses/)
        continue
      }
      expect(ran.ok, `${page}: ${text}: ${ran.stderr}`).toBe(true)
      const [, variable] = /^(\w+)=\$\(/.exec(text) ?? []
      if (variable !== undefined) {
        expect((await type(`${command}\necho "$${variable}"`)).stdout.trim(), text).not.toBe('')
        assignments.push(text)
      }
      if (/^helm (install|upgrade) tributary /.test(text)) await everybodyIsReady()
    }
  }

  const pod = async () => (await cluster.pods(namespace, 'aggregator'))[0]!
  const claim = () => cluster.api.get(`/api/v1/namespaces/${namespace}/persistentvolumeclaims/data-${aggregator}-0`)

  test('README: the first installation', async () => {
    await runPage('README.md')
    expect((await type(`helm uninstall tributary --namespace ${namespace} --wait`)).ok).toBe(true)
  }, 120_000)

  test('install', async () => {
    await runPage('docs/install.md')
  }, 120_000)

  test('what helm says after an installation', async () => {
    const { stdout } = await type(`helm get notes tributary --namespace ${namespace}`)
    const commands = stdout.split('\n').map((line) => line.trim().replace(/ &$/, ''))
    const found = commands.filter((line) => /^(kubectl|helm) /.test(line))
    expect(found.map((line) => line.split(' ').find((word) => /^(port-forward|label|test)$/.test(word)))).toEqual([
      'port-forward',
      'test',
      'label',
    ])
    expect((await type(found[0]!)).stderr).toMatch(/error dialing backend|no preferred addresses/)
    expect(await type(found[2]!)).toMatchObject({ ok: true })
  }, 60_000)

  test('migration and troubleshooting', async () => {
    await runPage('docs/migration.md')
    await runPage('docs/troubleshooting.md')
  }, 60_000)

  test('backup: the volume is another one, and the aggregator is back on it', async () => {
    const before = await claim()
    await runPage('docs/backup.md')
    // The last command of the page is for another purpose: all are stopped.
    await expect.poll(() => cluster.pods(namespace, 'aggregator')).toEqual([])
    expect((await type(`kubectl -n ${namespace} scale statefulset ${aggregator} --replicas 1`)).ok).toBe(true)
    await everybodyIsReady()
    const after = await claim()
    expect(after.metadata.uid).not.toBe(before.metadata.uid)
    expect(after.status.phase).toBe('Bound')
    expect(after.spec.volumeName).not.toBe(before.spec.volumeName)
  }, 120_000)

  test('upgrade: the volume grows, and the pod runs on meanwhile', async () => {
    await everybodyIsReady()
    const commands = commandsOn('docs/upgrade.md').map(({ text }) => text)
    const grows = commands.findIndex((text) => text.includes(' patch pvc '))
    expect(grows).toBeGreaterThan(0)
    for (const text of commands.slice(0, grows).filter((one) => !elsewhere.test(one)))
      expect((await type(text)).ok, text).toBe(true)
    // What the pages before left in the values is rolled out first.
    expect((await type(`kubectl -n ${namespace} rollout status statefulset ${aggregator} --timeout 60s`)).ok).toBe(true)
    await everybodyIsReady()
    const settled = (await pod()).metadata.uid
    writeFileSync(join(directory, 'values.yaml'), '{"aggregator": {"persistence": {"size": "200Gi"}}}')
    const refused = await type(commands.find((text) => text.startsWith('helm upgrade'))!)
    expect(refused.ok).toBe(false)
    for (const text of commands.slice(grows)) {
      const ran = await type(text)
      expect(ran.ok, `${text}: ${ran.stderr}`).toBe(true)
    }
    await everybodyIsReady()
    expect((await pod()).metadata.uid).toBe(settled)
    expect((await claim()).spec.resources.requests.storage).toBe('200Gi')
    const set = await cluster.api.get(`/apis/apps/v1/namespaces/${namespace}/statefulsets/${aggregator}`)
    expect(set.spec.volumeClaimTemplates[0].spec.resources.requests.storage).toBe('200Gi')
  }, 120_000)

  test('a move to ClickHouse: a release for the past beside the other', async () => {
    await runPage('docs/clickhouse.md')
    await expect.poll(async () => (await cluster.pods('default', 'aggregator')).filter(isReady).length).toBe(1)
  }, 60_000)
})
