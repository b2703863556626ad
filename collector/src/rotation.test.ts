/**
 * Random writes, rotations of every kind, and restarts of the collector, against a sink that loses chunks and acks: afterwards every
 * line is there once, lines in parts and stack traces are whole, wherever a rotation fell. Generations are kept, as the kubelet keeps
 * them; deletion has tests of its own.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

/** A small generator of its own, so that a failure's seed repeats the run's decisions. */
function randomFrom(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

class Log {
  readonly path: string
  readonly name: string
  written = 0
  rotations = 0
  #owed = ''
  #clock = 0
  constructor(path: string, name: string) {
    this.path = path
    this.name = name
    writeFileSync(path, '')
  }

  /** Whole records, and now and then the beginning of one whose rest comes with the next write, or in the next file. */
  write(lines: number, random: (n: number) => number): void {
    let text = this.#owed
    this.#owed = ''
    for (let i = 0; i < lines; i++) {
      const physical = this.#record(random)
      const now = i === lines - 1 && random(2) === 0 ? random(physical.length) : physical.length
      text += physical.slice(0, now).join('')
      this.#owed = physical.slice(now).join('')
    }
    appendFileSync(this.path, text)
  }

  /** Writes what the last record still lacks. */
  finish(): void {
    appendFileSync(this.path, this.#owed)
    this.#owed = ''
  }

  /** The lines of the file that make one record: `<name>-<number>-<lines>-…`, in parts, or followed by the frames of a stack trace. */
  #record(random: (n: number) => number): string[] {
    const frames = random(6) === 0 ? 1 + random(4) : 0
    const head = `${this.name}-${this.written++}-${1 + frames}-${frames > 0 ? ' java.lang.IllegalStateException: ' : ''}`
    const line = `${head}${'x'.repeat(random(200))}`
    const rest = Array.from({ length: frames }, (_, i) => `\tat shop.Cart.add(Cart.java:${i})`)
    return [line, ...rest].flatMap((text) => {
      // There are runtimes that cut lines anywhere.
      const cut = random(4) === 0 ? random(text.length) : 0
      return cut > 0 ? [this.#cri('P', text.slice(0, cut)), this.#cri('F', text.slice(cut))] : [this.#cri('F', text)]
    })
  }

  #cri(tag: string, text: string): string {
    const at = new Date(Date.UTC(2026, 0, 1) + Math.floor(this.#clock / 1e6)).toISOString().slice(0, -5)
    return `${at}.${String(this.#clock++ % 1e9).padStart(9, '0')}Z stdout ${tag} ${text}\n`
  }

  #rotated(): string[] {
    return readdirSync(dirname(this.path)).filter(
      (name) => name.startsWith(`${basename(this.path)}.2`) && !name.endsWith('.gz'),
    )
  }

  rename(): void {
    renameSync(this.path, `${this.path}.20260101-${String(this.rotations++).padStart(6, '0')}`)
  }

  create(): void {
    if (!existsSync(this.path)) writeFileSync(this.path, '')
  }

  /** All but the newest rotated one, as the kubelet does. */
  compress(): void {
    for (const name of this.#rotated().sort().slice(0, -1)) {
      const path = join(dirname(this.path), name)
      writeFileSync(`${path}.tmp`, gzipSync(readFileSync(path)))
      renameSync(`${path}.tmp`, `${path}.gz`)
      unlinkSync(path)
    }
  }

  copytruncate(): void {
    if (!existsSync(this.path)) return
    copyFileSync(this.path, `${this.path}.20260101-${String(this.rotations++).padStart(6, '0')}`)
    truncateSync(this.path)
  }
}

async function run(seed: number): Promise<void> {
  const random = randomFrom(seed)
  const root = mkdtempSync(join(tmpdir(), 'tributary-rotation-'))
  await using sink = await Sink.listen({ keep: true, fault: () => (['drop', 'mute', 'reset'] as const)[random(40)] })
  const logs = ['a', 'b', 'c'].map((name) => {
    const directory = join(root, 'pods', `ns_${name}_uid-${name}`, 'main')
    mkdirSync(directory, { recursive: true })
    mkdirSync(join(root, 'containers'), { recursive: true })
    symlinkSync(join(directory, '0.log'), join(root, 'containers', `${name}_ns_main-${'0'.repeat(64)}.log`))
    return new Log(join(directory, '0.log'), name)
  })
  const config = collectorConfig.parse({
    node: 'n',
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'containers'), scanInterval: '30ms', flushInterval: '10ms', partialTimeout: '30s' },
    multiline: { timeout: '30s' },
    aggregator: { address: sink.address, ackTimeout: '150ms' },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    checkpoints: { interval: '10ms' },
  })
  const open = () => startCollector(config, { log: pino({ level: 'silent' }) })
  let collector: RunningCollector = await open()
  for (let step = 0; step < 120; step++) {
    const log = logs[random(3)]!
    const action = random(20)
    if (action < 10) log.write(1 + random(60), random)
    else if (action < 13) {
      if (existsSync(log.path)) log.rename()
      if (random(2) === 0) await sleep(random(30))
      log.create()
    } else if (action < 15) log.compress()
    // Nobody can read what is written between copy and truncation, and only a reader that is up sees the same inode begin anew.
    else if (action < 17) log.copytruncate()
    else if (action < 18) {
      await collector.close()
      if (random(3) === 0) rmSync(join(root, 'state'), { recursive: true, force: true })
      collector = await open()
    } else await sleep(random(60))
  }
  for (const log of logs) {
    log.create()
    log.finish()
    // Something ordinary, so that nothing is waited for any more.
    log.write(1, () => 5)
  }
  const expected = logs.flatMap(({ name, written }) => Array.from({ length: written }, (_, i) => `${name}-${i}`)).sort()
  for (const end = Date.now() + 20_000; sink.lines().length < expected.length && Date.now() < end; ) await sleep(20)
  await sleep(100)
  const outcomes = [...sink.sources.values()].flatMap(({ outcomes }) => outcomes)
  await collector.close()
  const records = sink.lines().map((line) => line.match(/^(\w+-\d+)-(\d+)-/) ?? [line, line, '0'])
  const lines = records.map(([, name]) => name!).sort()
  const torn = records.filter(([, , count], i) => Number(count) !== sink.lines()[i]!.split('\n').length)
  const missing = expected.filter((line) => !new Set(lines).has(line))
  const doubled = lines.filter((line, i) => line === lines[i - 1])
  expect({ seed, missing, doubled, torn, outcomes }).toEqual({ seed, missing: [], doubled: [], torn: [], outcomes: [] })
  for (const { records } of sink.sources.values()) {
    const inOrder = records.toSorted((a, b) => a.offset - b.offset)
    const numbers = inOrder.map(({ line }) => Number(line.split('-')[1]))
    expect(numbers, `order, seed ${seed}`).toEqual([...numbers].sort((a, b) => a - b))
  }
  rmSync(root, { recursive: true, force: true })
}

/** More of them: `ROTATION_SEEDS=4,5,6 npx vitest run collector/src/rotation.test.ts`. */
const seeds = process.env['ROTATION_SEEDS']?.split(',').map(Number) ?? [1, 2, 3, 34]

test.for(seeds)(
  'random rotations, restarts and faults lose and double nothing (seed %i)',
  { timeout: 60_000 },
  (seed) => run(seed),
)
