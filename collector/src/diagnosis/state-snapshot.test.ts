import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink } from '../../../test/harness/sink.ts'
import { decodeCheckpoints, encodeCheckpoints } from '../checkpoint/checkpoint-file.ts'
import { startCollector } from '../collector.ts'
import { collectorConfig } from '../config.ts'
import { encodePods } from '../metadata/pod-file.ts'
import { formatSpoolName } from '../spool/spool-format.ts'
import { explain } from './explain.ts'
import { snapshotState } from './state-snapshot.ts'

let root: string
let containers: string
let pod: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-state-'))
  containers = join(root, 'containers')
  pod = join(root, 'pods', 'shop_cart_uid', 'main')
  mkdirSync(containers)
  mkdirSync(pod, { recursive: true })
  symlinkSync(join(pod, '0.log'), join(containers, `cart_shop_main-${'a'.repeat(64)}.log`))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const filter = { namespace: 'shop', pod: 'cart' }
const snapshot = () => snapshotState({ stateDir: join(root, 'state'), logsPath: containers, filter })
const line = (text: string) => `2026-11-23T10:00:00.000000000Z stdout F ${text}\n`

/** Lets a collector read all there is. */
async function collect(): Promise<void> {
  await using sink = await Sink.listen({ keep: true })
  const config = collectorConfig.parse({
    stateDir: join(root, 'state'),
    logs: { path: containers, scanInterval: '20ms', flushInterval: '10ms' },
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  await expect.poll(() => sink.lines().length, { timeout: 10_000 }).toBeGreaterThan(0)
  await collector.close()
}

test('a log is told with its names, its size and the checkpoint, and what was written since', async () => {
  writeFileSync(join(pod, '0.log'), line('one'))
  await collect()
  appendFileSync(join(pod, '0.log'), line('two'))
  const [log] = (await snapshot()).logs
  expect(log).toMatchObject({ namespace: 'shop', pod: 'cart', container: 'main', path: pod })
  expect(log!.names).toHaveLength(1)
  const { length } = line('one')
  expect(log!.sources).toMatchObject([{ state: 'reading', size: 2 * length, read: length, acknowledged: length }])
  expect(explain(await snapshot(), filter).ok).toBe(true)
})

test('a renamed file is the same source, a new one is not read yet, and a deleted one is gone', async () => {
  writeFileSync(join(pod, '0.log'), line('one'))
  await collect()
  appendFileSync(join(pod, '0.log'), line('two'))
  renameSync(join(pod, '0.log'), join(pod, '0.log.20261123-100000'))
  writeFileSync(join(pod, '0.log'), line('three'))
  expect((await snapshot()).logs[0]!.sources.map(({ state }) => state)).toEqual(['reading', 'unidentified'])
  unlinkSync(join(pod, '0.log.20261123-100000'))
  expect((await snapshot()).logs[0]!.sources.map(({ state }) => state)).toEqual(['gone', 'unidentified'])
  // The last checkpoint knew all there was: nothing is known to be missing.
  expect(explain(await snapshot(), filter).ok).toBe(true)
  const file = join(root, 'state', 'checkpoints')
  writeFileSync(
    file,
    encodeCheckpoints({
      ledger: undefined,
      checkpoints: decodeCheckpoints(readFileSync(file)).checkpoints.map((one) => ({ ...one, seen: one.seen + 5 })),
    }),
  )
  expect(explain(await snapshot(), filter).ok).toBe(false)
  const { source, size, read } = (await snapshot()).logs[0]!.sources[0]!
  mkdirSync(join(root, 'state', 'spool'), { recursive: true })
  const name = formatSpoolName({ sequence: 1, source: source!, from: read, end: size })
  writeFileSync(join(root, 'state', 'spool', name), '')
  expect((await snapshot()).logs[0]!.sources[0]).toMatchObject({ state: 'gone', spooled: true })
  expect(explain(await snapshot(), filter).ok).toBe(true)
})

test('a state directory without checkpoints is said, and damaged ones are left where they are', async () => {
  await expect(snapshot()).rejects.toThrow(
    'checkpoints: there is none: is this the stateDir of a collector that has run?',
  )
  mkdirSync(join(root, 'state'))
  writeFileSync(join(root, 'state', 'checkpoints'), '{"format":"x"}\n{"sources":0,"crc32":1}\n')
  await expect(snapshot()).rejects.toThrow('checkpoints: the checksum differs')
  await expect(snapshot()).rejects.toThrow('checkpoints: the checksum differs')
})

test('saved pods and rules tell what leaves a log out', async () => {
  writeFileSync(join(pod, '0.log'), line('one'))
  await collect()
  const excludedBy = async (selection?: object) => {
    const { logs } = await snapshotState({
      stateDir: join(root, 'state'),
      logsPath: containers,
      filter,
      ...(selection ? { selection: { include: [], exclude: [], ...selection } } : {}),
    })
    return logs[0]!.excludedBy
  }
  expect(await excludedBy()).toBeUndefined()
  expect(await excludedBy({ exclude: [{ pod: 'cart' }] })).toBe('logs.exclude[0]')
  const save = (annotations: Record<string, string>) => {
    const facts = {
      ...{ uid: 'uid', namespace: 'shop', name: 'cart', labels: { team: 'x' }, annotations, namespaceLabels: {} },
      ...{ addresses: [], workload: undefined, containers: { main: { image: 'i', imageId: undefined } } },
    }
    const known = { facts, staticHash: undefined, ended: false, deletedAt: undefined }
    writeFileSync(join(root, 'state', 'pods'), encodePods([known]))
  }
  save({})
  expect((await snapshot()).logs[0]).toMatchObject({ metadata: 'known' })
  expect(await excludedBy({ include: [{ labels: { team: 'y' } }] })).toBe('logs.include')
  save({ 'tributary.io/exclude': 'true' })
  expect(await excludedBy()).toBe('annotation tributary.io/exclude')
  expect(explain(await snapshot(), filter).logs[0]!.findings.map(({ code }) => code)).toContain('excluded')
})
