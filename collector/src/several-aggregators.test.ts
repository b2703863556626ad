/** What must hold where `aggregator.address` names more than one: each has a ledger of its own. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

const cri = (line: string, tag: string, second: number) =>
  `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z stdout ${tag} ${line}\n`

test('every byte of a source goes to one of them, also when a rotation cuts a record', async () => {
  const root = mkdtempSync(join(tmpdir(), 'tributary-several-'))
  await using one = await Sink.listen({ keep: true })
  await using two = await Sink.listen({ keep: true })
  const containers = join(root, 'containers')
  mkdirSync(containers)
  const names = Array.from({ length: 16 }, (_, i) => `pod${i}`)
  for (const name of names) {
    const directory = join(root, 'pods', `ns_${name}_uid-${name}`, 'main')
    mkdirSync(directory, { recursive: true })
    const path = join(directory, '0.log')
    writeFileSync(path, cri(`${name} whole;`, 'F', 1) + cri(`${name} half;`, 'P', 2))
    renameSync(path, `${path}.20260101-000000`)
    writeFileSync(path, cri('rest;', 'F', 3) + cri(`${name} after;`, 'F', 4))
    symlinkSync(path, join(containers, `${name}_ns_main-${'0'.repeat(64)}.log`))
  }
  const config = collectorConfig.parse({
    node: 'n',
    stateDir: join(root, 'state'),
    logs: { path: containers, scanInterval: '30ms', flushInterval: '10ms', partialTimeout: '500ms' },
    aggregator: { address: [one.address, two.address] },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  const lines = () => [...one.lines(), ...two.lines()]
  for (const end = Date.now() + 15_000; lines().join('').split(';').length <= 4 * names.length; await sleep(20))
    if (Date.now() > end) break
  await collector.close()
  for (const name of names) {
    const own = lines().filter((line) => line.startsWith(`${name} `))
    expect(own).toEqual(expect.arrayContaining([`${name} whole;`, `${name} after;`]))
    expect(own.some((line) => line.startsWith(`${name} half;`))).toBe(true)
  }
  expect(lines().join('').split(';')).toHaveLength(4 * names.length + 1)
  expect([...one.sources.keys()].filter((source) => two.sources.has(source))).toEqual([])
  rmSync(root, { recursive: true, force: true })
})
