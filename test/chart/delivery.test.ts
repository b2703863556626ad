/** What the pod of `helm test` does, with a real collector and aggregator: its output becomes a log file, as a kubelet makes one. */
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runVerify } from 'tributary/verify.ts'
import { expect, test } from 'vitest'
import { cluster, node, Pipeline } from '../harness/processes.ts'

const pod = { namespace: 'logging', pod: 'logs-tributary-test', container: 'verify', pod_uid: '0b9e7a4c' }
const expected = { ...pod, cluster, node, stream: 'stdout' }

/** The pod's log file, with the kubelet's link to it. */
function createLog(directory: string): string {
  const log = join(directory, 'pods', `${pod.namespace}_${pod.pod}_${pod.pod_uid}`, pod.container)
  mkdirSync(log, { recursive: true })
  writeFileSync(join(log, '0.log'), '')
  const link = `${pod.pod}_${pod.namespace}_${pod.container}-${'c'.repeat(64)}.log`
  symlinkSync(join(log, '0.log'), join(directory, 'containers', link))
  return join(log, '0.log')
}

test('marked lines are found, each once and with their metadata; wrong metadata is told', async () => {
  await using pipeline = await Pipeline.start()
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
}, 150_000)
