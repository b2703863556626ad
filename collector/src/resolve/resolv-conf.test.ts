import { expect, test } from 'vitest'
import { fullNames, parseResolvConf } from './resolv-conf.ts'

const pod = `# written by the kubelet
search logging.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
options ndots:5
`

test.for([
  [pod, { search: ['logging.svc.cluster.local', 'svc.cluster.local', 'cluster.local'], ndots: 5 }],
  ['', { search: [], ndots: 1 }],
  ['search a b\ndomain c.\n', { search: ['c'], ndots: 1 }],
  ['domain c d\nsearch a.  b\n', { search: ['a', 'b'], ndots: 1 }],
  ['search .\noptions edns0 ndots:99 rotate ndots:x', { search: [], ndots: 15 }],
  [';search no\n search yes\r\n', { search: ['yes'], ndots: 1 }],
] as const)('%j', ([text, rules]) => expect(parseResolvConf(text)).toEqual(rules))

const rules = parseResolvConf(pod)
test.for([
  ['agg', ['agg.logging.svc.cluster.local', 'agg.svc.cluster.local', 'agg.cluster.local', 'agg']],
  ['a.b.c.d.e.f', ['a.b.c.d.e.f', ...rules.search.map((domain) => `a.b.c.d.e.f.${domain}`)]],
  ['agg.logging.svc.cluster.local.', ['agg.logging.svc.cluster.local']],
] as const)('%s is asked for as %j', ([name, names]) => expect(fullNames(name, rules)).toEqual(names))

test('without search domains a name is asked for as it is', () => {
  expect(fullNames('localhost', parseResolvConf(''))).toEqual(['localhost'])
})
