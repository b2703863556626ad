/**
 * Random writes, rotations and deletions with an aggregator that comes and goes, small budgets and restarts: afterwards every byte that was
 * seen is sent or reported as lost, none twice, and with room in the spool none is lost.
 */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { fingerprintOf, sourceId } from '@tributary/protocol/source.ts'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { type CollectorConfig, collectorConfig } from './config.ts'

function randomFrom(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + 15_000; !what(); await sleep(10)) if (Date.now() > end) throw new Error('never came')
}

/** One pod's log: all that was ever written to it, by generation. */
class Log {
  readonly name: string
  readonly directory: string
  readonly generations: string[] = []
  #open = false
  #rotations = 0
  #written = 0

  constructor(root: string, name: string) {
    this.name = name
    this.directory = join(root, 'pods', `ns_${name}_uid-${name}`, 'main')
    mkdirSync(this.directory, { recursive: true })
    mkdirSync(join(root, 'containers'), { recursive: true })
    writeFileSync(this.#path, '')
    symlinkSync(this.#path, join(root, 'containers', `${name}_ns_main-${'0'.repeat(64)}.log`))
  }

  get #path(): string {
    return join(this.directory, '0.log')
  }

  get #rotated(): string[] {
    return readdirSync(this.directory).filter((name) => name.startsWith('0.log.'))
  }

  write(lines: number, random: (n: number) => number): void {
    if (!this.#open) this.generations.push('')
    this.#open = true
    let text = ''
    for (let i = 0; i < lines; i++) {
      const at = `2026-01-01T00:00:00.${String(this.#written).padStart(9, '0')}Z`
      text += `${at} stdout F ${this.name}-${this.#written++}-${'x'.repeat(random(300))}\n`
    }
    this.generations[this.generations.length - 1] += text
    appendFileSync(this.#path, text)
  }

  rotate(): void {
    if (!this.#open) return
    this.#open = false
    renameSync(this.#path, `${this.#path}.20260101-${String(this.#rotations++).padStart(6, '0')}`)
  }

  compress(): void {
    for (const name of this.#rotated
      .filter((one) => !one.endsWith('.gz'))
      .sort()
      .slice(0, -1)) {
      const path = join(this.directory, name)
      const content = this.generations[Number(name.slice(-6))]!
      writeFileSync(`${path}.tmp`, gzipSync(content))
      renameSync(`${path}.tmp`, `${path}.gz`)
      unlinkSync(path)
    }
  }

  deleteRotated(): void {
    for (const name of this.#rotated) unlinkSync(join(this.directory, name))
  }
}

/** Of a collector that looks, sends and saves quickly, and waits for nothing when it is told to stop. */
function configOf(root: string, aggregator: object, limits: object = {}): CollectorConfig {
  return collectorConfig.parse({
    node: 'n',
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'containers'), scanInterval: '20ms', flushInterval: '10ms' },
    aggregator,
    limits,
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    checkpoints: { interval: '10ms' },
  })
}

interface Run {
  readonly seed: number
  readonly spoolBytes: string
}

async function run({ seed, spoolBytes }: Run): Promise<{ lost: number; spooled: number; reasons: Set<string> }> {
  const random = randomFrom(seed)
  const root = mkdtempSync(join(tmpdir(), 'tributary-behind-'))
  let sink = await Sink.listen({ keep: true })
  const { address } = sink
  let away = false
  const goAway = async () => {
    away = true
    await sink[Symbol.asyncDispose]()
  }
  const comeBack = async () => {
    away = false
    const { sources } = sink
    sink = await Sink.listen({ keep: true }, Number(address.split(':')[1]))
    for (const [key, source] of sources) sink.sources.set(key, source)
  }
  const logs = ['a', 'b', 'c'].map((name) => new Log(root, name))
  const config = configOf(
    root,
    { address, ackTimeout: '150ms' },
    { unlinkedBytes: '30KiB', unlinkedBytesPerPod: '12KiB', inFlightBytes: '1', spoolBytes },
  )
  const open = () => startCollector(config, { log: pino({ level: 'silent' }) })
  let collector: RunningCollector = await open()
  let spooled = 0
  const restart = async () => {
    await collector.close()
    spooled += collector.metrics.spooledBytes.total
    collector = await open()
  }
  for (let step = 0; step < 60; step++) {
    const log = logs[random(3)]!
    const action = random(20)
    if (action < 9) log.write(1 + random(40), random)
    else if (action < 12) log.rotate()
    else if (action < 13) {
      await sleep(150)
      log.compress()
    } else if (action < 16) {
      // Long enough for all of it to have been seen.
      await sleep(150)
      log.deleteRotated()
    } else if (action < 18) {
      if (!away) await goAway()
      else if (random(3) === 0) await comeBack()
    } else if (action < 19) {
      await sleep(150)
      await restart()
    } else await sleep(random(200))
  }
  // However the dice fell: more than may be held open, and the rest of it when the collector is told to stop.
  if (!away) await goAway()
  for (const log of logs) {
    log.write(100, random)
    log.rotate()
  }
  await sleep(300)
  for (const log of logs) log.deleteRotated()
  await sleep(300)
  await restart()
  await comeBack()
  const accounts = () => logs.flatMap(({ name, generations }) => generations.map((text) => accountOf(sink, name, text)))
  const spool = () => readdirSync(join(root, 'state', 'spool'))
  const isCalm = () => spool().length === 0 && accounts().every(({ open }) => open === 0)
  for (const end = Date.now() + 25_000; Date.now() < end && !isCalm(); ) await sleep(50)
  expect({ seed, spool: spool(), wrong: accounts().filter(({ problem }) => problem !== '') }).toEqual({
    seed,
    spool: [],
    wrong: [],
  })
  const lost = accounts().reduce((sum, one) => sum + one.lost, 0)
  await collector.close()
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
  const outcomes = [...sink.sources.values()].flatMap((source) => source.outcomes.map(({ outcome }) => outcome))
  return { lost, spooled, reasons: new Set(outcomes) }
}

/** What the sink has of a generation, compared with what was written. */
function accountOf(sink: Sink, name: string, text: string): { open: number; lost: number; problem: string } {
  const bytes = Buffer.from(text)
  const origin = { cluster: 'default', node: 'n', pod: `uid-${name}`, container: 'main', restart: 0, distinction: '' }
  const source = sink.sources.get(sourceId(origin, fingerprintOf(bytes)!).toString('hex'))
  const accepted = source?.accepted ?? []
  const account = `${name}: ${JSON.stringify(accepted)} of ${bytes.length}`
  if (accepted.length !== 1 || accepted[0]![0] !== 0 || accepted[0]![1] !== bytes.length)
    return { open: bytes.length, lost: 0, problem: account }
  const lost = source!.outcomes.map(({ range }) => range)
  const isLost = (offset: number) => lost.some(([first, end]) => offset >= first && offset < end)
  const expected = new Map<number, string>()
  for (const { index, 0: line } of text.matchAll(/^.*$/gm))
    if (line !== '' && !isLost(index)) {
      // A loss that begins within a line leaves what is before it.
      const cut = lost.find(([first]) => first > index && first < index + line.length)
      expected.set(index, text.slice(index, cut?.[0] ?? index + line.length).replace(/^.*? F /, ''))
    }
  const wrong = source!.records.filter(({ offset, line }) => expected.get(offset) !== line)
  const problem =
    wrong.length > 0 || source!.records.length !== expected.size
      ? `${account}: ${source!.records.length} records, not ${expected.size}, ${wrong.length} wrong, lost ${JSON.stringify(lost)}`
      : ''
  return { open: 0, lost: lost.reduce((sum, [first, end]) => sum + end - first, 0), problem }
}

/** More of them: `BEHIND_SEEDS=2,3 npx vitest run collector/src/falling-behind.test.ts`. */
const seeds = process.env['BEHIND_SEEDS']?.split(',').map(Number) ?? [1, 87861]

test.for(seeds)(
  'with room in the spool nothing is lost, whatever is deleted (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    const { lost, spooled } = await run({ seed, spoolBytes: '100MiB' })
    expect(lost).toBe(0)
    expect(spooled, 'the run reached the spool').toBeGreaterThan(0)
  },
)

test.for(seeds)('without, what is lost is reported, exactly (seed %i)', { timeout: 60_000 }, async (seed) => {
  const { lost, reasons } = await run({ seed, spoolBytes: '4KiB' })
  expect(lost, 'the run lost something').toBeGreaterThan(0)
  for (const reason of reasons) expect(['lost:shed', 'lost:deleted']).toContain(reason)
})

test('deleted files that there is no room to save at the end are told by path and range, and reported by the next process', async () => {
  const root = mkdtempSync(join(tmpdir(), 'tributary-unsaved-'))
  const log = new Log(root, 'a')
  await using sink = await Sink.listen({ fault: () => (first ? 'drop' : undefined) })
  let first = true
  const config = configOf(root, { address: sink.address }, { spoolBytes: '0' })
  const said: { msg: string; path?: string; range?: number[] }[] = []
  const open = () => startCollector(config, { log: pino({}, { write: (line: string) => said.push(JSON.parse(line)) }) })
  let collector = await open()
  log.write(500, (n) => n - 1)
  await until(() => sink.chunks > 0)
  log.rotate()
  log.deleteRotated()
  await collector.close()
  const range = [0, log.generations[0]!.length]
  const path = expect.stringMatching(/0\.log/)
  expect(said).toContainEqual(
    expect.objectContaining({ path, range, msg: 'unread bytes of a deleted file are lost with this process' }),
  )
  first = false
  collector = await open()
  const outcomes = () => [...sink.sources.values()].flatMap((source) => source.outcomes)
  await until(() => outcomes().length > 0)
  expect(outcomes()).toEqual([{ outcome: 'lost:deleted', range }])
  await collector.close()
  rmSync(root, { recursive: true, force: true })
})

test.for([
  ['a block', 600_000],
  ['the header', 40],
] as const)(
  'of a spool file that is damaged in %s, what is behind the damage is lost, and the rest is sent',
  async ([, position]) => {
    const root = mkdtempSync(join(tmpdir(), 'tributary-damage-'))
    const log = new Log(root, 'a')
    await using sink = await Sink.listen({ keep: true, fault: () => (spooled ? undefined : 'drop') })
    let spooled = false
    const config = configOf(root, { address: sink.address })
    const open = () => startCollector(config, { log: pino({ level: 'silent' }) })
    let collector = await open()
    log.write(8000, (n) => Math.floor(Math.random() * n))
    log.rotate()
    await sleep(300)
    log.deleteRotated()
    await sleep(300)
    await collector.close()
    spooled = true
    const [name] = readdirSync(join(root, 'state', 'spool'))
    const path = join(root, 'state', 'spool', name!)
    const bytes = readFileSync(path)
    // Within the file, whatever it was compressed to.
    bytes[Math.min(position, Math.floor(bytes.length / 2))]! ^= 4
    writeFileSync(path, bytes)
    collector = await open()
    const [text] = log.generations as [string]
    const account = () => accountOf(sink, 'a', text)
    for (const end = Date.now() + 15_000; Date.now() < end && account().open > 0; ) await sleep(50)
    expect(account()).toMatchObject({ open: 0, problem: '' })
    const outcomes = [...sink.sources.values()].flatMap((source) => source.outcomes)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['lost:corrupt'])
    const [first, end] = outcomes[0]!.range
    expect(end).toBe(text.length)
    if (position === 40) expect(first).toBe(0)
    else expect(first).toBeGreaterThan(0)
    await collector.close()
    rmSync(root, { recursive: true, force: true })
  },
)
