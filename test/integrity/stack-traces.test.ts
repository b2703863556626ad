import { appendFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Pipeline } from '../harness/processes.ts'
import { randomFrom } from '../harness/random.ts'
import { readLines } from '../harness/read-back.ts'
import { chooseSeed } from './run.ts'

const containers = 6
const seconds = 5
const frames = ['java', 'python', 'go', 'node'] as const

/** The lines of one record: what its number says is what has to come back, in one piece. */
function recordLines(id: string, random: (n: number) => number): string[] {
  if (random(4) > 0) return [`level=info id=${id} ${'x'.repeat(random(120))}`]
  const depth = 1 + random(6)
  const repeat = (line: (n: number) => string) => Array.from({ length: depth }, (_, n) => line(n))
  switch (frames[random(frames.length)]!) {
    case 'java':
      return [
        `java.lang.IllegalStateException: id=${id} closed`,
        ...repeat((n) => `\tat shop.Cart.add(Cart.java:${n})`),
      ]
    case 'python':
      return [
        'Traceback (most recent call last):',
        ...repeat((n) => `  File "/app/cart.py", line ${n}, in add`),
        `ValueError: id=${id}`,
      ]
    case 'go':
      return [
        `panic: id=${id}`,
        '',
        'goroutine 1 [running]:',
        ...repeat((n) => `main.add(0x${n})\n\t/app/cart.go:${n} +0x1d`).flatMap((pair) => pair.split('\n')),
      ]
    case 'node':
      return [`TypeError: id=${id} is not iterable`, ...repeat((n) => `    at add (/app/cart.js:${n}:1)`)]
  }
}

/** One container that writes records line by line, as a runtime does, and is rotated wherever it happens to be. */
class Container {
  readonly records = new Map<string, string>()
  readonly pod: string
  readonly #directory: string
  readonly #pending: string[] = []
  #written = 0
  #rotations = 0
  #sinceRotation = 0
  #clock: bigint

  constructor(logs: string, index: number) {
    this.pod = `traces-${index}`
    this.#directory = join(logs, 'pods', `traces_${this.pod}_uid-${index}`, 'app')
    mkdirSync(this.#directory, { recursive: true })
    writeFileSync(join(this.#directory, '0.log'), '')
    symlinkSync(
      join(this.#directory, '0.log'),
      join(logs, 'containers', `${this.pod}_traces_app-${'0'.repeat(64)}.log`),
    )
    this.#clock = BigInt(Date.now()) * 1_000_000n
  }

  /** Writes a few physical lines: often not all of the record they belong to. */
  write(lines: number, random: (n: number) => number): void {
    let text = ''
    for (let i = 0; i < lines; i++) {
      if (this.#pending.length === 0) this.#begin(random)
      text += this.#pending.shift()!
    }
    appendFileSync(join(this.#directory, '0.log'), text)
    this.#sinceRotation += lines
  }

  finish(): void {
    appendFileSync(join(this.#directory, '0.log'), this.#pending.splice(0).join(''))
  }

  /** False where the last rotation was only just: a record over three files is cut at the second (docs/multiline.md). */
  rotate(): boolean {
    if (this.#sinceRotation < 30) return false
    this.#sinceRotation = 0
    const stamp = `20260101-${String(this.#rotations++).padStart(6, '0')}`
    renameSync(join(this.#directory, '0.log'), join(this.#directory, `0.log.${stamp}`))
    writeFileSync(join(this.#directory, '0.log'), '')
    return true
  }

  #begin(random: (n: number) => number): void {
    const id = `${this.pod}/${this.#written++}`
    const lines = recordLines(id, random)
    const stream = random(3) === 0 ? 'stderr' : 'stdout'
    this.records.set(id, lines.join('\n'))
    for (const line of lines) {
      const cut = line.length > 60 && random(4) === 0 ? 40 + random(line.length - 40) : line.length
      this.#pending.push(this.#physical(stream, cut < line.length ? 'P' : 'F', line.slice(0, cut)))
      if (cut < line.length) this.#pending.push(this.#physical(stream, 'F', line.slice(cut)))
    }
  }

  #physical(stream: string, tag: string, text: string): string {
    const at = this.#clock++
    const whole = new Date(Number(at / 1_000_000n)).toISOString().slice(0, 19)
    return `${whole}.${String(at % 1_000_000_000n).padStart(9, '0')}Z ${stream} ${tag} ${text}\n`
  }
}

test('stack traces come back whole and once, wherever rotations cut them and whoever is killed', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  const random = randomFrom(seed)
  // A trace is written within milliseconds; here it may take as long as the test lets a rotation or a kill take.
  await using pipeline = await Pipeline.start({
    collector: { multiline: { timeout: '8s' }, logs: { partialTimeout: '12s' }, checkpoints: { interval: '200ms' } },
  })
  const all = Array.from({ length: containers }, (_, index) => new Container(pipeline.logs, index))
  const end = performance.now() + seconds * 1000
  let [rotations, kills] = [0, 0]
  for (let nextKill = performance.now() + 1000; performance.now() < end; await sleep(random(8))) {
    const container = all[random(containers)]!
    container.write(1 + random(40), random)
    if (random(12) === 0 && container.rotate()) rotations++
    if (performance.now() < nextKill) continue
    nextKill = performance.now() + 1200 + random(800)
    const victim = random(2) === 0 ? pipeline.collector : pipeline.aggregator
    await victim.kill()
    victim.start()
    kills++
  }
  for (const container of all) container.finish()
  await pipeline.ready()
  const written = all.reduce((sum, { records }) => sum + records.size, 0)
  const verdict = await judge(pipeline.url, all, written)
  console.log(`stack traces: seed ${seed}, ${written} records, ${rotations} rotations, ${kills} kills`, verdict.counts)
  expect(verdict.examples).toEqual([])
  expect(verdict.counts).toEqual({ read: written, missing: 0, doubled: 0, torn: 0 })
  expect(rotations).toBeGreaterThan(10)
  expect(kills).toBeGreaterThan(1)
})

/** Compares record by record, once as many are there as were written or nothing more comes. */
async function judge(url: string, all: readonly Container[], written: number) {
  let records: string[] = []
  let lastRead = -1
  for (const deadline = performance.now() + 45_000; performance.now() < deadline; await sleep(1000)) {
    records = []
    for (const { pod } of all)
      for await (const [, line] of readLines(url, `{namespace="traces", pod="${pod}"}`)) records.push(line)
    if (records.length >= written && records.length === lastRead) break
    lastRead = records.length
  }
  const seen = new Map<string, number>()
  const examples: string[] = []
  let torn = 0
  for (const record of records) {
    const id = /id=(\S+)/.exec(record)?.[1] ?? ''
    const expected = all.find(({ pod }) => id.startsWith(`${pod}/`))?.records.get(id)
    if (record !== expected) {
      torn++
      examples.push(JSON.stringify(record.slice(0, 200)))
    } else seen.set(id, (seen.get(id) ?? 0) + 1)
  }
  const ids = all.flatMap((container) => [...container.records.keys()])
  const missing = ids.filter((id) => !seen.has(id)).length
  const doubled = [...seen.values()].filter((count) => count > 1).length
  return { counts: { read: records.length, missing, doubled, torn }, examples: examples.slice(0, 10) }
}
