import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { DnsServer } from '../../../test/harness/dns-server.ts'
import { NameResolver, ResolveError } from './resolver.ts'
import { parseTarget, type Target } from './target.ts'

let dns: DnsServer
let resolver: NameResolver
beforeAll(async () => {
  dns = await DnsServer.listen()
})
afterAll(() => dns[Symbol.asyncDispose]())
beforeEach(() => {
  resolver = new NameResolver([dns.address])
})

const target = (address: string) => parseTarget(address) as Exclude<Target, { kind: 'literal' }>
const keys = async (address: string) => (await resolver.resolve(target(address))).found.map(({ key }) => key)
const reason = (address: string) =>
  resolver.resolve(target(address)).then(
    () => 'resolved',
    (error: ResolveError) => (error instanceof ResolveError ? error.reason : error),
  )

test('every address of a name is one, of both families, with the shortest time to live', async () => {
  dns.set('agg.test', { a: ['127.0.0.3', '127.0.0.2'], aaaa: ['0:0:0:0:0:0:0:1'], ttl: 7 })
  const { found, ttl, mayBe } = await resolver.resolve(target('agg.test:24224'))
  expect(found.map(({ key, host, port }) => [key, host, port])).toEqual([
    ['127.0.0.2:24224', '127.0.0.2', 24224],
    ['127.0.0.3:24224', '127.0.0.3', 24224],
    ['[::1]:24224', '::1', 24224],
  ])
  expect([ttl, found.some(mayBe)]).toEqual([7000, false])
})

test('SRV records tell hosts, ports, weights and who stands by; a host is known by its name', async () => {
  dns.set('_forward._tcp.agg.test', {
    srv: [
      { name: 'agg-0.agg.test', port: 1000, weight: 3 },
      { name: 'agg-1.agg.test', port: 1001, weight: 0 },
      { name: 'spare.test', port: 1002, priority: 5 },
      { name: 'nowhere.test', port: 1003 },
    ],
  })
  for (const [i, name] of ['agg-0.agg.test', 'agg-1.agg.test', 'spare.test'].entries())
    dns.set(name, { a: [`127.0.0.${i + 1}`], aaaa: ['0:0:0:0:0:0:0:1'], ttl: 5 + i })
  for (const address of ['agg.test:forward', '_forward._tcp.agg.test']) {
    const { found, ttl } = await resolver.resolve(target(address))
    expect(found.toSorted((a, b) => a.port - b.port)).toEqual([
      { key: 'agg-0.agg.test:1000', host: '127.0.0.1', port: 1000, weight: 3, standby: false },
      { key: 'agg-1.agg.test:1001', host: '127.0.0.2', port: 1001, weight: 0.1, standby: false },
      { key: 'spare.test:1002', host: '127.0.0.3', port: 1002, weight: 1, standby: true },
    ])
    expect(ttl).toBe(5000)
  }
})

test('what of an answer could not be had may be there still', async () => {
  dns.set('half.test', { a: ['127.0.0.1'], fails: 'servfail', failsFor: ['aaaa'] })
  const { found, mayBe } = await resolver.resolve(target('half.test:1'))
  expect(found.map(({ key }) => key)).toEqual(['127.0.0.1:1'])
  const known = { key: '', port: 1, weight: 1, standby: false }
  expect([mayBe({ ...known, host: '::1' }), mayBe({ ...known, host: '127.0.0.9' })]).toEqual([true, false])
  dns.set('_p._tcp.half.test', {
    srv: [
      { name: 'half.test', port: 1 },
      { name: 'broken.test', port: 2 },
    ],
  })
  dns.set('broken.test', { fails: 'servfail' })
  const service = await resolver.resolve(target('half.test:p'))
  expect(service.found.map(({ key }) => key)).toEqual(['half.test:1'])
  expect([service.mayBe({ ...known, host: '', key: 'broken.test:2' }), service.found.some(service.mayBe)]).toEqual([
    true,
    false,
  ])
})

test('why a name does not resolve is one of a few reasons', { timeout: 30_000 }, async () => {
  dns.set('failing.test', { fails: 'servfail' })
  dns.set('refusing.test', { fails: 'refused' })
  dns.set('silent.test', { fails: 'silent' })
  dns.set('empty.test', {})
  dns.set('_x._tcp.empty.test', { srv: [{ name: 'nowhere.test', port: 1 }] })
  const names = ['nowhere.test:1', 'empty.test:1', 'empty.test:x', 'nowhere.test:x', 'failing.test:1', 'silent.test:1']
  expect(await Promise.all(names.map(reason))).toEqual([
    ...['not_found', 'not_found', 'not_found', 'not_found', 'server', 'timeout'],
  ])
  expect(['server', 'unreachable']).toContain(await reason('refusing.test:1'))
  resolver = new NameResolver(['127.0.0.1:1'])
  expect(['unreachable', 'timeout']).toContain(await reason('agg.test:1'))
})

test('an answer holds no longer than until it is asked for again: nothing is cached on the way', async () => {
  dns.set('changing.test', { a: ['127.0.0.1'], ttl: 3600 })
  expect(await keys('changing.test:1')).toEqual(['127.0.0.1:1'])
  dns.set('changing.test', { a: ['127.0.0.2'], ttl: 3600 })
  expect(await keys('changing.test:1')).toEqual(['127.0.0.2:1'])
})

test('an answer that does not fit into a packet is asked for again over TCP', async () => {
  const many = [...Array(60).keys()].map((i) => `127.0.1.${i}`)
  dns.set('many.test', { a: many, ttl: 9, tooLong: true })
  dns.askedAgain.length = 0
  const { found, ttl } = await resolver.resolve(target('many.test:1'))
  expect(found.map(({ host }) => host)).toEqual(many.toSorted())
  expect([ttl, dns.askedAgain.includes('a many.test')]).toEqual([9000, true])
})

test('a name that stands for another one has its addresses', async () => {
  dns.set('alias.test', { cname: 'real.test', ttl: 30 })
  dns.set('real.test', { a: ['127.0.0.4'], ttl: 12 })
  const { found, ttl } = await resolver.resolve(target('alias.test:1'))
  expect([found.map(({ key }) => key), ttl]).toEqual([['127.0.0.4:1'], 12_000])
  dns.set('dangling.test', { cname: 'nobody.test' })
  expect(await reason('dangling.test:1')).toBe('not_found')
})

test('what answers another query is none', async () => {
  dns.set('forged.test', { a: ['127.0.0.5'], forged: ['127.0.0.66'] })
  expect(await keys('forged.test:1')).toEqual(['127.0.0.5:1'])
})

test.each([
  { what: 'no header', nonsense: Buffer.of(1, 2, 3) },
  { what: 'a header that promises what is not there', nonsense: Buffer.from('85800001000900000000', 'hex') },
  { what: 'a name that points to itself', nonsense: Buffer.from('85800001000000000000c00c00010001', 'hex') },
  { what: 'nothing behind the number', nonsense: Buffer.alloc(0) },
  { what: 'bytes without sense', nonsense: Buffer.alloc(700, 0xa7) },
])('a packet that is no answer: $what', { timeout: 30_000 }, async ({ nonsense }) => {
  dns.set('mad.test', { nonsense })
  expect(['server', 'timeout']).toContain(await reason('mad.test:1'))
  dns.set('mad.test', { a: ['127.0.0.6'] })
  expect(await keys('mad.test:1')).toEqual(['127.0.0.6:1'])
})

test('localhost is known without a server, and so is what the machine knows otherwise', async () => {
  expect(await keys('localhost:7')).toContain('127.0.0.1:7')
})

test('a short name is looked for in the search domains, and a full one as it is', async () => {
  const conf = join(mkdtempSync(join(tmpdir(), 'tributary-resolv-')), 'resolv.conf')
  writeFileSync(conf, 'search logging.svc.test svc.test\noptions ndots:5\n')
  resolver = new NameResolver([dns.address], conf)
  dns.set('agg.logging.svc.test', { a: ['127.0.0.1'] })
  dns.set('web.svc.test', { a: ['127.0.0.2'] })
  dns.set('_forward._tcp.agg.logging.svc.test', { srv: [{ name: 'agg.logging.svc.test', port: 5 }] })
  dns.asked.length = 0
  expect(await keys('agg:1')).toEqual(['127.0.0.1:1'])
  expect(await keys('web:1')).toEqual(['127.0.0.2:1'])
  expect(await keys('web.svc.test.:1')).toEqual(['127.0.0.2:1'])
  expect(await keys('agg:forward')).toEqual(['agg.logging.svc.test:5'])
  expect(dns.asked).not.toContain('a agg')
  expect(dns.asked).not.toContain('a web.svc.test.logging.svc.test')
  // Of a domain whose server fails nobody knows whether it has the name: the next one's is not taken for it.
  dns.set('web.logging.svc.test', { fails: 'servfail' })
  expect(await reason('web:1')).toBe('server')
  // Another network, another file.
  writeFileSync(conf, 'search svc.test\n')
  expect(await keys('web:1')).toEqual(['127.0.0.2:1'])
  rmSync(dirname(conf), { recursive: true })
})
