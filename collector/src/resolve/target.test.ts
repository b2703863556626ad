import { expect, test } from 'vitest'
import { parseTarget } from './target.ts'

test.for([
  ['10.0.0.1:24224', { kind: 'literal', host: '10.0.0.1', port: 24224 }],
  ['[fd00::1]:1', { kind: 'literal', host: 'fd00::1', port: 1 }],
  ['localhost:24224', { kind: 'name', host: 'localhost', port: 24224 }],
  ['tributary-aggregator.logging.svc:24224', { kind: 'name', host: 'tributary-aggregator.logging.svc', port: 24224 }],
  ['a.example.org.:65535', { kind: 'name', host: 'a.example.org.', port: 65535 }],
  ['tributary_aggregator:24224', { kind: 'name', host: 'tributary_aggregator', port: 24224 }],
  ['tributary-aggregator:forward', { kind: 'service', host: 'tributary-aggregator', service: '_forward._tcp' }],
  ['_forward._tcp.tributary.svc', { kind: 'service', host: 'tributary.svc', service: '_forward._tcp' }],
] as const)('%s', ([address, target]) => expect(parseTarget(address)).toEqual(target))

test.for([
  '',
  'host',
  ':24224',
  'host:',
  'host:0',
  'host:65536',
  'host:-1',
  'host:UPPER',
  'host:123456',
  'host:no_name',
  'host:a-name-that-is-too-long',
  'two hosts:1',
  'fd00::1:24224',
  '[fd00::1]',
  '[fd00::1]:forward',
  '[10.0.0.1]:1',
  '10.0.0.1:forward',
  'a..b:1',
  '-a:1',
  '_forward._tcp.',
  '_forward._tcp.name:24224 ',
  `${'x'.repeat(254)}:1`,
])('%j is no address', (address) => expect(parseTarget(address)).toBeUndefined())
