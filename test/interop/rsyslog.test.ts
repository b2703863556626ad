/** A real rsyslog as sender of syslog: each of its formats and framings, TLS, UDP, and an aggregator that is killed. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestAuthority } from '@tributary/protocol/test-authority.ts'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { linesOf, received, startAggregator } from '../harness/aggregator.ts'
import { Daemon } from '../harness/daemon.ts'
import { freePorts, type Pipeline } from '../harness/processes.ts'
import { program } from '../harness/programs.ts'

// Each waits for what another program does, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const rsyslog = program('rsyslogd', 'RSYSLOGD', 'required')
const directory = mkdtempSync(join(tmpdir(), 'tributary-rsyslog-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Each reads a file and sends its lines. */
const sources = [
  { name: 'rfc5424', template: 'RSYSLOG_SyslogProtocol23Format', send: 'protocol="tcp" TCP_Framing="octet-counted"' },
  { name: 'rfc3164', template: 'RSYSLOG_TraditionalForwardFormat', send: 'protocol="tcp"' },
  { name: 'precise', template: 'RSYSLOG_ForwardFormat', send: 'protocol="tcp" TCP_Framing="octet-counted"' },
  { name: 'datagrams', template: 'RSYSLOG_SyslogProtocol23Format', send: 'protocol="udp"' },
  { name: 'structured', template: 'structured', send: 'protocol="tcp"' },
  { name: 'secure', template: 'RSYSLOG_SyslogProtocol23Format', send: '' },
] as const

describe.skipIf(rsyslog === undefined)('rsyslog', () => {
  let plain: Pipeline
  let secured: Pipeline
  let sender: Daemon

  beforeAll(async () => {
    using authority = new TestAuthority()
    const { cert, key } = authority.issue()
    const path = (name: string) => join(directory, name)
    const files = { 'ca.pem': authority.cert, 'cert.pem': cert, 'key.pem': key }
    for (const [name, content] of Object.entries(files)) writeFileSync(path(name), content)
    const [port, securePort] = await freePorts(2)
    const syslog = { enabled: true, listen: '127.0.0.1' }
    plain = await startAggregator({ syslog: { ...syslog, port, udp: true } })
    secured = await startAggregator({
      syslog: { ...syslog, port: securePort, tls: { certFile: path('cert.pem'), keyFile: path('key.pem') } },
    })
    const secure = [
      'protocol="tcp" TCP_Framing="octet-counted" StreamDriver="ossl" StreamDriverMode="1"',
      'StreamDriverAuthMode="x509/certvalid"',
    ].join(' ')
    const rule = ({ name, template, send }: (typeof sources)[number]) => `
      ruleset(name="${name}") {
        action(type="omfwd" target="127.0.0.1" port="${name === 'secure' ? securePort : port}" template="${template}"
          ${name === 'secure' ? secure : send} action.resumeRetryCount="-1" action.resumeInterval="1"
          queue.type="LinkedList" queue.size="100000")
      }
      input(type="imfile" File="${path(`${name}.log`)}" Tag="${name}:" Severity="error" Facility="local3" ruleset="${name}")`
    writeFileSync(
      path('rsyslog.conf'),
      `global(workDirectory="${directory}" defaultNetstreamDriverCAFile="${path('ca.pem')}" localHostname="sender.example")
      module(load="imfile" mode="inotify")
      template(name="structured" type="string" string="<%PRI%>1 %TIMESTAMP:::date-rfc3339% %HOSTNAME% app 42 ID7 [t@1 k=\\"v \\\\\\"q\\\\\\"\\"] %msg%\\n")
      ${sources.map(rule).join('\n')}\n`,
    )
    for (const { name } of sources) writeFileSync(path(`${name}.log`), `${name} 1\n${name} 2 µ\n`)
    sender = new Daemon(rsyslog!, ['-n', '-f', path('rsyslog.conf'), '-i', path('rsyslog.pid')])
  }, 90_000)
  afterAll(async () => {
    await sender?.[Symbol.asyncDispose]()
    await plain?.[Symbol.asyncDispose]()
    await secured?.[Symbol.asyncDispose]()
  })

  const receivedOf = (pipeline: Pipeline, selector: string, count: number) =>
    received(pipeline, selector, count, () => sender.output)

  const common = { host: 'sender.example', facility: 'local3', detected_level: 'error' }

  test.for(['rfc5424', 'rfc3164', 'precise', 'datagrams', 'secure'])('lines sent as %s', async (name) => {
    const streams = await receivedOf(name === 'secure' ? secured : plain, `{app="${name}"}`, 2)
    expect(linesOf(streams).toSorted()).toEqual([`${name} 1`, `${name} 2 µ`])
    expect(streams[0]!.stream).toMatchObject({ ...common, app: name, service_name: name })
    const times = streams.flatMap(({ values }) => values.map(([time]) => time))
    for (const time of times) expect(Math.abs(Number(time) / 1e6 - Date.now())).toBeLessThan(120_000)
  })

  test('structured data, process and message id are structured metadata', async () => {
    const streams = await receivedOf(plain, '{app="app"}', 2)
    expect(linesOf(streams).toSorted()).toEqual(['structured 1', 'structured 2 µ'])
    expect(streams[0]!.stream).toMatchObject({ ...common, process_id: '42', message_id: 'ID7', t_1_k: 'v "q"' })
  })

  test('what is logged while the aggregator is away comes when it is back', { timeout: 90_000 }, async () => {
    const file = join(directory, 'rfc5424.log')
    const sent: string[] = []
    const write = (count: number) => {
      const lines = Array.from({ length: count }, (_, i) => `seq=${sent.length + i}`)
      sent.push(...lines)
      appendFileSync(file, lines.map((line) => `${line}\n`).join(''))
    }
    write(500)
    await receivedOf(plain, '{app="rfc5424"} |= "seq="', sent.length)
    await plain.aggregator.kill()
    write(500)
    plain.aggregator.start()
    await plain.ready()
    const lines = linesOf(await receivedOf(plain, '{app="rfc5424"} |= "seq="', sent.length))
    console.log('rsyslog, a kill', JSON.stringify({ sent: sent.length, read: lines.length }))
    expect(sent.filter((line) => !lines.includes(line))).toEqual([])
  })
})
