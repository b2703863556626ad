import { parseConfig } from '@tributary/protocol/config-file.ts'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { expect, test } from 'vitest'
import { aggregatorConfig } from './config.ts'

const parse = (text: string) => parseConfig('aggregator.yaml', text, aggregatorConfig)

test('an empty file is a working configuration', () => {
  expect(parse('')).toMatchObject({
    forward: { listen: '0.0.0.0', port: 24224, maxMessageBytes: 64 << 20 },
    http: { port: 3100 },
    store: { engine: 'embedded', retention: 7 * 86_400_000 },
    labels: { discoverServiceName: true, detectLevel: true },
  })
})

test.for([
  ['forward: {prot: 1}', 'forward.prot: unknown key'],
  ['forward: {port: 70000}', 'forward.port'],
  ['forward: {tls: {certFile: a.pem}}', 'forward.tls: certFile and keyFile go together'],
  ['http: {tls: {keyFile: a.pem}}', 'http.tls: certFile and keyFile go together'],
  ['forward: {tls: {caFile: ca.pem}}', 'forward.tls.caFile: needs certFile'],
  ['forward: {users: {a: b}}', 'forward.users: needs forward.sharedKey'],
  ['store: {engine: clickhouse}', 'store.clickhouse.url: is required'],
  ['store: {retention: 7}', 'store.retention: "7" is not a duration: write numbers and units'],
  ['store: {retention: 7 days}', 'store.retention: "7 days" is not a duration'],
  [
    `store: {retentionRules: [{selector: '{a=}', keep: 6h}]}`,
    'store.retentionRules.0.selector: is no selector: parse error',
  ],
  [`store: {retentionRules: [{selector: '{a=~"("}', keep: 6h}]}`, 'store.retentionRules.0.selector: is no selector'],
  [
    `store: {retentionRules: [{selector: '{a="b"} |= "c"', keep: 6h}]}`,
    'store.retentionRules.0.selector: is no selector',
  ],
  ['store: {retentionRules: [{keep: soon}]}', 'store.retentionRules.0.keep: "soon" is not a duration'],
  ['store: {retentionRules: [{tenant: a/b, keep: 6h}]}', "store.retentionRules.0.tenant: tenant ID 'a/b' contains"],
  ['store: {minFreeDisk: 110%}', 'store.minFreeDisk: "110%" is neither a part of the volume nor a size'],
  ['replicas: 3', 'replicas: there can be 1 aggregator with store.engine embedded, not 3'],
  ['replicas: 3', 'set store.engine: clickhouse'],
  ['ack: stored', 'ack: stored needs store.engine clickhouse'],
  ['takeover: {after: 10ms}', 'takeover.after: must be at least 1s'],
  ['tenants: {overrides: {shop: {maxStreams: 1}}}', 'tenants.overrides.shop: needs tenants.enabled: true'],
  [
    'http: {auth: {credentials: [{name: a, token: x, roles: [push]}, {name: b, token: x, roles: [read]}]}}',
    'http.auth.credentials: a and b have the same token',
  ],
  [
    `http: {auth: {credentials: [
      {name: a, username: u, passwordFile: /p, roles: [push]}, {name: b, username: u, passwordFile: /p, roles: [read]}]}}`,
    'http.auth.credentials: a and b have the same token, or user and password',
  ],
  ['wal: {segmentBytes: 0}', 'wal.segmentBytes: must be at least 64KiB'],
  ['wal: {maxBytes: 64MiB}', 'wal.maxBytes: must be at least twice wal.segmentBytes'],
])('%s is refused: %s', ([text, message]) => {
  expect(() => parse(text!)).toThrow(ConfigError)
  expect(() => parse(text!)).toThrow(message)
})

test('a bare 0 is a duration', () => {
  expect(parse('{store: {retention: 0}, limits: {maxAge: 0}}')).toMatchObject({
    store: { retention: 0 },
    limits: { maxAge: 0 },
  })
})

test('retention by rules, and what the volume may take', () => {
  const rules = `[{selector: '{namespace="dev"}', keep: 6h}, {tenant: a, keep: '0'}]`
  expect(parse(`store: {retentionRules: ${rules}, maxDiskUsage: 20GiB}`).store).toMatchObject({
    retentionRules: [
      { selector: '{namespace="dev"}', keep: 6 * 3_600_000 },
      { selector: '{}', tenant: 'a', keep: 0 },
    ],
    minFreeDisk: { percent: 5 },
    maxDiskUsage: { bytes: 20 * 2 ** 30 },
  })
})

test('several aggregators share a ClickHouse server', () => {
  const shared = 'store: {engine: clickhouse, clickhouse: {url: http://localhost:8123}}'
  expect(parse(shared)).toMatchObject({ ack: 'wal', replicas: 1, takeover: { after: 30_000 } })
  expect(parse(`{replicas: 5, ack: stored, takeover: {after: 5s}, ${shared}}`)).toMatchObject({
    ack: 'stored',
    replicas: 5,
  })
})
