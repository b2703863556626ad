import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningCollector, startCollector } from '@tributary/collector/collector.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { parseLog, runWhy } from './why.ts'

let root: string
let sink: Sink
let collector: RunningCollector

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-why-'))
  const directory = join(root, 'pods', 'shop_cart_uid', 'main')
  mkdirSync(join(root, 'containers'))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, '0.log'), '2026-11-23T10:00:00.000000000Z stdout F hello\n')
  symlinkSync(join(directory, '0.log'), join(root, 'containers', `cart_shop_main-${'a'.repeat(64)}.log`))
  sink = await Sink.listen({ keep: true })
  const config = collectorConfig.parse({
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'containers'), scanInterval: '20ms', flushInterval: '10ms' },
    aggregator: { address: sink.address },
    checkpoints: { interval: '20ms' },
    http: { listen: '127.0.0.1', port: 0 },
  })
  collector = await startCollector(config, { log: pino({ level: 'silent' }) })
})
afterEach(async () => {
  await collector.close()
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

/** What `tributary why` prints, and whether it ends with 0. */
async function why(log?: string, options: { state?: string; config?: string; output?: 'json' } = {}) {
  const lines: string[] = []
  const addr = `http://127.0.0.1:${collector.httpPort}`
  const ok = await runWhy(log, { addr, logs: join(root, 'containers'), output: 'text', ...options }, (one) =>
    lines.push(one),
  )
  return { ok, text: lines.join('\n') }
}

test('a running collector tells how far a log is read and acknowledged', async () => {
  await expect.poll(async () => (await why('shop/cart')).text).toContain('acknowledged to 46')
  const { ok, text } = await why('shop/cart/main')
  expect(ok).toBe(true)
  expect(text).toContain('shop/cart/main\n')
  expect(text).toContain(`leads to ${join(root, 'pods/shop_cart_uid/main/0.log')}`)
  expect(text).toContain('read to 46 of 46 bytes, acknowledged to 46')
  expect(text).toMatch(/last acknowledgement \d+ m?s ago/)
  expect(text).toMatch(/\n\nNothing is lost or stuck\.$/)
  const { logs } = JSON.parse((await why('shop/cart', { output: 'json' })).text)
  expect(logs[0].sources[0]).toMatchObject({ size: 46, read: 46, acknowledged: 46 })
})

test('the same is read from its state directory, which may be all that is left', async () => {
  await expect.poll(async () => (await why('shop/cart')).text).toContain('acknowledged to 46')
  await collector.close()
  const { ok, text } = await why('shop/cart', { state: join(root, 'state') })
  expect(ok).toBe(true)
  expect(text).toContain('read to 46 of 46 bytes, acknowledged to 46')
  const file = join(root, 'collector.yaml')
  writeFileSync(file, `stateDir: ${root}/state\nlogs: {path: ${root}/containers}\naggregator: {address: x:1}\n`)
  expect((await why('shop/cart', { config: file })).text).toBe(text)
  expect((await why(undefined, { state: join(root, 'state') })).text).toContain('1 log known')
})

test('without a pod the logs with something wrong are told, and a pod nobody knows is wrong', async () => {
  await expect.poll(async () => (await why()).text).toBe('1 log known, none of them lost anything or is stuck.')
  symlinkSync('/nowhere/0.log', join(root, 'containers', `web_shop_main-${'b'.repeat(64)}.log`))
  const { ok, text } = await why()
  expect(ok).toBe(false)
  expect(text).toContain('shop/web/main\n!   web_shop_main-')
  expect(text).not.toContain('shop/cart')
  expect(await why('shop/unknown')).toMatchObject({ ok: false, text: expect.stringContaining('log of shop/unknown') })
})

test('an address where no collector listens is said, with the cure', async () => {
  const print = () => undefined
  const options = { addr: 'http://127.0.0.1:1', logs: '', output: 'text' as const }
  await expect(runWhy('shop/cart', options, print)).rejects.toThrow(
    'is a collector running there? Set another with --addr',
  )
})

test.for(['cart', 'shop/', '/cart', 'shop/cart/', 'shop/cart/main/more', ''])('%j is wrong usage', (text) => {
  expect(() => parseLog(text)).toThrow('write namespace/pod or namespace/pod/container')
})
