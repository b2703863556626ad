import { pino } from 'pino'
import { expect, test } from 'vitest'
import { DnsServer } from '../../../test/harness/dns-server.ts'
import { CollectorMetrics } from '../metrics.ts'
import { addressesConfig } from './config.ts'
import { AggregatorDirectory } from './directory.ts'

function directoryOf(addresses: unknown, servers: readonly string[] = []): AggregatorDirectory {
  const dns = { servers, interval: 10_000 }
  const log = pino({ level: 'silent' })
  return new AggregatorDirectory({
    addresses: addressesConfig.parse(addresses),
    dns,
    log,
    metrics: new CollectorMetrics(),
  })
}

test('static addresses are there at once, with weight and rank, each once', async () => {
  const directory = directoryOf([
    '10.0.0.1:24224',
    { address: '[fd00::1]:24224', weight: 2 },
    { address: '10.0.0.2:1', standby: true },
    '10.0.0.1:24224',
  ])
  const common = { weight: 1, standby: false, serverName: '' }
  expect(directory.endpoints).toEqual([
    { ...common, key: '10.0.0.1:24224', host: '10.0.0.1', port: 24224, from: '10.0.0.1:24224' },
    { ...common, key: '[fd00::1]:24224', host: 'fd00::1', port: 24224, weight: 2, from: '[fd00::1]:24224' },
    { ...common, key: '10.0.0.2:1', host: '10.0.0.2', port: 1, standby: true, from: '10.0.0.2:1' },
  ])
  await directory.close()
})

test('what a name stands for carries the name in its certificate, and the weight of its entry', async () => {
  await using dns = await DnsServer.listen()
  dns.set('agg.test', { a: ['127.0.0.1', '127.0.0.2'] })
  dns.set('_forward._tcp.agg.test', { srv: [{ name: 'agg-0.test', port: 5, weight: 3, priority: 1 }] })
  dns.set('agg-0.test', { a: ['127.0.0.3'] })
  const directory = directoryOf(
    [{ address: 'agg.test.:7', weight: 2 }, { address: 'agg.test:forward', weight: 2 }, 'nowhere.test:1'],
    [dns.address],
  )
  await expect
    .poll(() => directory.endpoints)
    .toEqual([
      ...['127.0.0.1', '127.0.0.2'].map((host) => ({
        ...{ key: `${host}:7`, host, port: 7, serverName: 'agg.test', weight: 2, standby: false, from: 'agg.test.:7' },
      })),
      {
        ...{ key: 'agg-0.test:5', host: '127.0.0.3', port: 5, serverName: 'agg.test', weight: 6, standby: false },
        from: 'agg.test:forward',
      },
    ])
  await expect.poll(() => directory.troubles).toMatchObject([{ address: 'nowhere.test:1', known: 0 }])
  await directory.close()
})
