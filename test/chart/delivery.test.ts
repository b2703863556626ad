/**
 * What the pod of `helm test` does, with a real collector and aggregator that have the key, the certificates and the configuration that
 * helm renders. Its output becomes a log file, as a kubelet makes one.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runVerify } from 'tributary/verify.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parse } from 'yaml'
import { cluster, node, Pipeline } from '../harness/processes.ts'
import { find, type KubernetesObject, objectsOf, render, type Tree } from './render.ts'
import { chartTools } from './tools.ts'

const tools = chartTools()
const pod = { namespace: 'logging', pod: 'logs-tributary-test', container: 'verify', pod_uid: '0b9e7a4c' }
const expected = { ...pod, cluster, node, stream: 'stdout' }

let mounts: string
beforeEach(() => {
  mounts = mkdtempSync(join(tmpdir(), 'tributary-mounts-'))
})
afterEach(() => rmSync(mounts, { recursive: true, force: true }))

/** The configuration of a process, with the Secrets of its pod mounted at another place. */
function mounted(objects: readonly KubernetesObject[], name: 'collector' | 'aggregator'): Tree {
  for (const secret of ['shared-key', `${name}-tls`]) {
    const directory = join(mounts, name, secret.replace(`${name}-`, ''))
    mkdirSync(directory, { recursive: true })
    for (const [key, value] of Object.entries(find(objects, 'Secret', `logs-tributary-${secret}`).data))
      writeFileSync(join(directory, key), Buffer.from(value, 'base64'))
  }
  const text = find(objects, 'ConfigMap', `logs-tributary-${name}`).data[`${name}.yaml`]!
  return parse(text.replaceAll('/etc/tributary/', `${join(mounts, name)}/`)) as Tree
}

/** The pod's log file, with the kubelet's link to it. */
function createLog(directory: string): string {
  const log = join(directory, 'pods', `${pod.namespace}_${pod.pod}_${pod.pod_uid}`, pod.container)
  mkdirSync(log, { recursive: true })
  writeFileSync(join(log, '0.log'), '')
  const link = `${pod.pod}_${pod.namespace}_${pod.container}-${'c'.repeat(64)}.log`
  symlinkSync(join(log, '0.log'), join(directory, 'containers', link))
  return join(log, '0.log')
}

test.skipIf(tools === undefined)(
  'marked lines are found, each once and with their metadata; wrong metadata is told',
  async () => {
    const objects = await objectsOf(render(tools!.helm, { forward: { tls: { mutual: true } } }))
    // Directories, ports and names are those of this machine: the chart's Service is not in its DNS.
    const { node: _, cluster: __, stateDir, aggregator, ...collector } = mounted(objects, 'collector')
    const { address, tls, ...sender } = aggregator as { address: string; tls: Tree }
    const { dataDir, ...receiver } = mounted(objects, 'aggregator')
    expect([stateDir, dataDir]).toEqual(['/var/lib/tributary/collector', '/var/lib/tributary/aggregator'])
    const serverName = address.replace(/:forward$/, '')
    await using pipeline = await Pipeline.start({
      collector: { ...collector, aggregator: { ...sender, tls: { ...tls, serverName } } },
      aggregator: receiver,
    })
    const log = createLog(pipeline.logs)
    const verify = async (labels: Record<string, string>) => {
      const said: string[] = []
      const print = (line: string) => {
        said.push(line)
        appendFileSync(log, `${new Date().toISOString().replace('Z', '000000Z')} stdout F ${line}\n`)
      }
      const expect = Object.entries(labels).map((pair) => pair.join('='))
      const options = { addr: pipeline.url, lines: 200, timeout: '60s', settle: '1s', expect }
      return { ok: await runVerify(options, print), said: said.slice(200) }
    }
    const found = '200 of 200 lines found, each once, with 7 labels and metadata as expected.'
    expect(await verify(expected)).toEqual({ ok: true, said: [found] })
    const wrong = 'node is node-1, and should be another'
    expect(await verify({ ...expected, node: 'another' })).toEqual({ ok: false, said: [wrong] })
  },
  150_000,
)
