import { ConfigError, parseConfig } from '@tributary/protocol/config-file.ts'
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
  ['store: {retention: 7 days}', 'store.retention: "7 days" is not a duration'],
  ['wal: {maxBytes: 64MiB}', 'wal.maxBytes: must be at least twice wal.segmentBytes'],
])('%s is refused: %s', ([text, message]) => {
  expect(() => parse(text!)).toThrow(ConfigError)
  expect(() => parse(text!)).toThrow(message)
})
