/**
 * A real Fluent Bit as sender, and as receiver of a collector. Where there is none in PATH and FLUENT_BIT names none the tests are skipped, in CI too: it is in no package
 * registry that a build can rely on.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestAuthority } from '@tributary/protocol/test-authority.ts'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { linesOf, query, type ReadStream, received, startAggregator } from '../harness/aggregator.ts'
import { Daemon } from '../harness/daemon.ts'
import { freePorts, Pipeline, until } from '../harness/processes.ts'
import { program } from '../harness/programs.ts'

// Each waits for what another program does, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const fluentBit = program('fluent-bit', 'FLUENT_BIT', 'optional')

const directory = mkdtempSync(join(tmpdir(), 'tributary-fluent-bit-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Starts Fluent Bit with a configuration, which is a tree of YAML. */
function start(name: string, pipeline: { readonly inputs: readonly object[]; readonly outputs: readonly object[] }) {
  const file = join(directory, `${name}.yaml`)
  const service = { flush: 0.2, log_level: 'info', 'scheduler.base': 1, 'scheduler.cap': 2, grace: 2 }
  writeFileSync(file, JSON.stringify({ service, pipeline }))
  return new Daemon(fluentBit!, ['-c', file])
}

const kubernetes = {
  namespace_name: 'shop',
  pod_name: 'cart-0',
  container_name: 'web',
  host: 'node-7',
  pod_id: 'uid-1',
  docker_id: 'c'.repeat(64),
  container_image: 'cart:1',
  labels: { app: 'cart' },
}
const dummy = (tag: string, record: object) => ({ name: 'dummy', tag, samples: 3, dummy: JSON.stringify(record) })

/** What the streams of an answer have in common with what is expected; the rest of their labels is not looked at. */
function labels(streams: readonly ReadStream[]): Readonly<Record<string, string>> {
  return Object.assign({}, ...streams.map(({ stream }) => stream))
}

describe.skipIf(fluentBit === undefined)('Fluent Bit', () => {
  let plain: Pipeline
  let secured: Pipeline
  let sender: Daemon
  const containerId = 'e'.repeat(64)

  beforeAll(async () => {
    using authority = new TestAuthority()
    const issued = authority.issue()
    const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    for (const [path, content] of [
      [ca, authority.cert],
      [cert, issued.cert],
      [key, issued.key],
    ] as const) {
      writeFileSync(path, content)
    }
    plain = await startAggregator()
    secured = await startAggregator({
      forward: { sharedKey: 's3cret', users: { fluent: 'pw' }, tls: { certFile: cert, keyFile: key } },
    })
    const [otlpPort] = await freePorts(1)
    mkdirSync(join(directory, 'containers'))
    writeFileSync(
      join(directory, 'containers', `web-1_front_nginx-${containerId}.log`),
      'tailed 1\ntailed 2\ntailed 3\n',
    )
    const to = ({ forwardPort: port }: Pipeline, match: string, options: object = {}) => ({
      ...{ name: 'forward', match, host: '127.0.0.1', port, require_ack_response: true },
      ...options,
    })
    const tls = { tls: true, 'tls.verify': true, 'tls.ca_file': ca, shared_key: 's3cret' }
    const named = (name: string) => dummy(`fb.${name}`, { log: `line of ${name}`, n: 1, level: 'warn' })
    const modes = ['defaults', 'acked', 'gzip', 'integer', 'bare', 'options', 'dynamic', 'secure', 'stranger']
    sender = start('modes', {
      inputs: [
        ...modes.map(named),
        dummy('fb.kubernetes', { log: 'in a pod', stream: 'stderr', kubernetes }),
        dummy('fb.journal', { MESSAGE: 'from the journal', PRIORITY: '3', _SYSTEMD_UNIT: 'cron.service' }),
        dummy('fb.structured', { a: 1, nested: { b: [true, null] } }),
        { name: 'tail', tag: 'kube.*', path: join(directory, 'containers', '*.log'), read_from_head: true },
        { name: 'opentelemetry', tag: 'fb.otlp', listen: '127.0.0.1', port: otlpPort, tag_from_uri: false },
        { name: 'fluentbit_metrics', tag: 'fb.metrics', scrape_interval: 1 },
      ],
      outputs: [
        to(plain, 'fb.defaults', { require_ack_response: false }),
        to(plain, 'fb.acked'),
        to(plain, 'fb.gzip', { compress: 'gzip' }),
        to(plain, 'fb.integer', { time_as_integer: true }),
        to(plain, 'fb.bare', { retain_metadata_in_forward_mode: false }),
        to(plain, 'fb.options', { require_ack_response: false, send_options: true }),
        to(plain, 'fb.dynamic', { tag: 'dyn.$n' }),
        to(plain, 'fb.kubernetes'),
        to(plain, 'fb.journal'),
        to(plain, 'fb.structured'),
        to(plain, 'kube.*'),
        to(plain, 'fb.otlp', { compress: 'gzip' }),
        to(plain, 'fb.metrics'),
        to(secured, 'fb.secure', { ...tls, username: 'fluent', password: 'pw' }),
        to(secured, 'fb.stranger', { ...tls, shared_key: 'wrong', username: 'fluent', password: 'pw' }),
      ],
    })
    const body = JSON.stringify({
      resourceLogs: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: 'cart' } }] },
          scopeLogs: [
            {
              scope: { name: 'lib', version: '1' },
              logRecords: [
                {
                  timeUnixNano: `${Date.now()}000007`,
                  severityNumber: 17,
                  severityText: 'ERROR',
                  body: { stringValue: 'otlp body' },
                  attributes: [{ key: 'k', value: { stringValue: 'v' } }],
                  traceId: '5b8efff798038103d269b633813fc60c',
                  spanId: 'eee19b7ec3c1b174',
                },
              ],
            },
          ],
        },
      ],
    })
    const headers = { 'content-type': 'application/json' }
    const posted = () =>
      fetch(`http://127.0.0.1:${otlpPort}/v1/logs`, { method: 'POST', headers, body }).then(
        ({ ok }) => ok,
        () => false,
      )
    await until(posted, 20_000, () => `Fluent Bit does not take OTLP: ${sender.output}`)
  }, 180_000)
  afterAll(async () => {
    await sender?.[Symbol.asyncDispose]()
    await plain?.[Symbol.asyncDispose]()
    await secured?.[Symbol.asyncDispose]()
  })

  const receivedOf = (pipeline: Pipeline, selector: string, count: number) =>
    received(pipeline, selector, count, () => sender.output)

  test.for(['defaults', 'acked', 'gzip', 'integer', 'bare', 'options'])(
    'records come with tag and time: %s',
    async (name) => {
      const streams = await receivedOf(plain, `{tag="fb.${name}"}`, 3)
      expect(linesOf(streams)).toEqual(Array(3).fill(`line of ${name}`))
      expect(labels(streams)).toMatchObject({ tag: `fb.${name}`, n: '1', detected_level: 'warn' })
      const times = streams.flatMap(({ values }) => values.map(([time]) => time))
      for (const time of times) expect(Math.abs(Number(time) / 1e6 - Date.now())).toBeLessThan(120_000)
      expect(times.every((time) => time.endsWith('000000000'))).toBe(name === 'integer')
    },
  )

  test('a tag made of the record, one message for each', async () => {
    expect(linesOf(await receivedOf(plain, '{tag="dyn.1"}', 3))).toEqual(Array(3).fill('line of dynamic'))
  })

  test('TLS, shared key and user; a wrong key gets nothing in', async () => {
    expect(linesOf(await receivedOf(secured, '{tag="fb.secure"}', 3))).toEqual(Array(3).fill('line of secure'))
    const refused = async () => (await secured.metrics('aggregator')).includes('errors_total{reason="handshake"}')
    await until(refused, 20_000, () => sender.output)
    expect(await query(secured, '{tag="fb.stranger"}')).toEqual([])
  })

  test('the kubernetes map gives labels and structured metadata', async () => {
    const streams = await receivedOf(plain, '{namespace="shop"}', 3)
    expect(linesOf(streams)).toEqual(Array(3).fill('in a pod'))
    expect(labels(streams)).toMatchObject({
      ...{ namespace: 'shop', pod: 'cart-0', container: 'web', node: 'node-7', app: 'cart', stream: 'stderr' },
      ...{ service_name: 'cart', pod_uid: 'uid-1', container_id: 'c'.repeat(64), image: 'cart:1' },
    })
    expect(labels(streams)).not.toHaveProperty('tag')
  })

  test('the name of a file under containers/ gives labels where the records have none', async () => {
    const streams = await receivedOf(plain, '{namespace="front"}', 3)
    expect(linesOf(streams)).toEqual(['tailed 1', 'tailed 2', 'tailed 3'])
    expect(labels(streams)).toMatchObject({ pod: 'web-1', container: 'nginx', container_id: containerId })
  })

  test('OpenTelemetry records keep resource, attributes, severity and trace', async () => {
    const streams = await receivedOf(plain, '{service_name="cart", namespace=""}', 1)
    expect(linesOf(streams)).toEqual(['otlp body'])
    expect(streams[0]!.values[0]![0]).toMatch(/000007$/)
    expect(labels(streams)).toMatchObject({
      ...{ detected_level: 'error', k: 'v', scope_name: 'lib', severity_number: '17' },
      ...{ trace_id: '5b8efff798038103d269b633813fc60c', span_id: 'eee19b7ec3c1b174' },
    })
  })

  test('the journal, and records without a line of their own', async () => {
    const journal = await receivedOf(plain, '{tag="fb.journal"}', 3)
    expect(linesOf(journal)).toEqual(Array(3).fill('from the journal'))
    expect(labels(journal)).toMatchObject({ detected_level: 'error', _SYSTEMD_UNIT: 'cron.service' })
    const lines = linesOf(await receivedOf(plain, '{tag="fb.structured"}', 3))
    expect(lines.map((line) => JSON.parse(line))).toEqual(Array(3).fill({ a: 1, nested: { b: [true, null] } }))
  })

  test('metrics are acknowledged and dropped, and nothing is tried again', async () => {
    const dropped = async () => {
      const page = await plain.metrics('aggregator')
      return Number(/errors_total\{reason="unsupported_signal"\} (\d+)/.exec(page)?.[1] ?? 0) >= 2
    }
    await until(dropped, 20_000, () => sender.output)
    expect(await query(plain, '{tag="fb.metrics"}')).toEqual([])
    expect(sender.output).not.toMatch(/failed to flush chunk.*fluentbit_metrics/)
  })

  test.for(['none', 'gzip', 'zstd'])(
    'takes what a collector sends, with shared key and user: %s',
    async (compression) => {
      const [port] = await freePorts(1)
      await using _receiver = start(`receiver-${compression}`, {
        inputs: [
          {
            ...{ name: 'forward', listen: '127.0.0.1', port, tag_prefix: 'fb.' },
            ...{ shared_key: 's3cret', self_hostname: 'fluent-bit', 'security.users': 'node pw' },
          },
        ],
        outputs: [{ name: 'forward', match: '*', host: '127.0.0.1', port: plain.forwardPort }],
      })
      await using sending = await Pipeline.create({
        collector: {
          node: `node-${compression}`,
          aggregator: { address: `127.0.0.1:${port}`, sharedKey: 's3cret', username: 'node', password: 'pw' },
          forward: { format: 'fluentd', compression },
        },
      })
      const lines = Array.from({ length: 300 }, (_, i) => `line ${i}`)
      writeFileSync(join(sending.logs, 'containers', 'a.log'), lines.map((line) => `${line}\n`).join(''))
      sending.collector.start()
      const read = await received(plain, `{node="node-${compression}"}`, 300, () => sending.collector.output)
      expect(linesOf(read).sort()).toEqual(lines.sort())
    },
  )

  test('an aggregator that is killed again and again has all that Fluent Bit was told it has', {
    timeout: 300_000,
  }, async () => {
    await using pipeline = await startAggregator()
    const path = join(directory, 'sequence.log')
    writeFileSync(path, '')
    await using tailing = start('kills', {
      inputs: [{ name: 'tail', tag: 'fb.kills', path, read_from_head: true, refresh_interval: 1 }],
      outputs: [
        {
          ...{ name: 'forward', match: '*', host: '127.0.0.1', port: pipeline.forwardPort, workers: 1 },
          ...{ require_ack_response: true, retry_limit: 'no_limits', compress: 'gzip' },
        },
      ],
    })
    let written = 0
    const write = () => appendFileSync(path, Array.from({ length: 100 }, () => `seq=${written++}\n`).join(''))
    for (let kills = 0; kills < 4; kills++) {
      for (let i = 0; i < 10; i++) {
        write()
        await sleep(20 + 15 * kills)
      }
      await pipeline.aggregator.kill()
      write()
      pipeline.aggregator.start()
      await pipeline.ready()
    }
    write()
    const seen = new Map<string, number>()
    const complete = async () => {
      seen.clear()
      // A thousand numbers a query: there is room for each of them several times.
      for (let thousand = 0; thousand * 1000 < written; thousand++) {
        const numbers = thousand === 0 ? '[0-9]{1,3}' : `${thousand}[0-9]{3}`
        const lines = linesOf(await query(pipeline, `{tag="fb.kills"} |~ "^seq=${numbers}$"`, 5000))
        expect(lines.length).toBeLessThan(5000)
        for (const line of lines) seen.set(line, (seen.get(line) ?? 0) + 1)
      }
      return seen.size >= written
    }
    await until(complete, 90_000, () => `${seen.size} of ${written} are there\n${tailing.output}`, 500).catch(() => {})
    const missing = Array.from({ length: written }, (_, i) => `seq=${i}`).filter((line) => !seen.has(line))
    const doubled = [...seen.values()].reduce((sum, times) => sum + times - 1, 0)
    console.log('fluent-bit, 4 kills', JSON.stringify({ written, missing: missing.length, doubled }))
    expect(missing).toEqual([])
  })
})
