/** Log files whose ends are cut off, again and again, with the collector up, killed or stopped meanwhile. */
import { appendFileSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Pipeline, until } from '../harness/processes.ts'
import { randomFrom } from '../harness/random.ts'
import { type AuditAnswer, readLines } from '../harness/read-back.ts'
import { chooseSeed } from './run.ts'

class Log {
  readonly name: string
  readonly path: string
  written = 0
  bytes = 0
  rotations = 0
  #last = 0

  constructor(logs: string, name: string) {
    this.name = name
    const directory = join(logs, 'pods', `cut_${name}_uid-${name}`, 'main')
    mkdirSync(directory, { recursive: true })
    this.path = join(directory, '0.log')
    symlinkSync(this.path, join(logs, 'containers', `${name}_cut_main-${'a'.repeat(64)}.log`))
  }

  write(lines: number): void {
    let text = ''
    for (let i = 0; i < lines; i++) {
      this.#last = Math.max(this.#last + 1, Date.now())
      const time = new Date(this.#last).toISOString().replace('Z', '000000Z')
      text += `${time} stdout F ${this.name} ${this.written++} ${'x'.repeat(this.written % 90)}\n`
    }
    appendFileSync(this.path, text)
    this.bytes += text.length
  }

  /** Anywhere behind the first line. */
  cut(random: (n: number) => number): void {
    const { size } = statSync(this.path)
    const first = readFileSync(this.path).indexOf(10) + 1
    truncateSync(this.path, first + random(size - first))
  }

  rotate(): void {
    renameSync(this.path, `${this.path}.20261123-00000${this.rotations++}`)
  }
}

test('what is written to files that were cut back is stored once, and the audit agrees', {
  timeout: 120_000,
}, async () => {
  const seed = chooseSeed()
  const random = randomFrom(seed)
  await using pipeline = await Pipeline.start({ collector: { checkpoints: { interval: '50ms' } } })
  mkdirSync(join(pipeline.logs, 'containers'), { recursive: true })
  const logs = Array.from({ length: 6 }, (_, i) => new Log(pipeline.logs, `log-${i}`))
  const allArrived = async () => {
    const bytes = logs.reduce((sum, one) => sum + one.bytes, 0)
    await until(
      async () => (await audit(pipeline)).totals.storedBytes === bytes,
      20_000,
      () => `${bytes} bytes did not arrive (seed ${seed}): ${pipeline.collector.output}`,
    )
    // And the checkpoints know of it.
    await sleep(300)
  }
  let cuts = 0
  for (let round = 0; round < 8; round++) {
    for (const log of logs) log.write(1 + random(40))
    await allArrived()
    const stop = round % 4 === 1 ? 'kill' : round % 4 === 3 ? 'stop' : undefined
    if (stop) await pipeline.collector[stop]()
    for (const log of logs) {
      if (random(4) === 0) log.rotate()
      else {
        log.cut(random)
        cuts++
      }
      // Sometimes at once, and more than was there.
      if (random(2) === 0) log.write(1 + random(80))
    }
    if (stop) pipeline.collector.start()
  }
  await allArrived()
  for (const log of logs) {
    const seen = new Uint8Array(log.written)
    for await (const [, line] of readLines(pipeline.url, `{namespace="cut", pod="${log.name}"}`)) {
      const match = new RegExp(`^${log.name} (\\d+) (x*)$`).exec(line)
      // What is left of a line that was cut is no line of its own anywhere.
      const n = Number(match?.[1])
      expect([line, match?.[2]?.length]).toEqual([line, (n + 1) % 90])
      seen[n]!++
    }
    expect([log.name, [...seen].every((times) => times === 1)]).toEqual([log.name, true])
  }
  expect(cuts).toBeGreaterThan(20)
  expect(await audit(pipeline)).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
})

async function audit(pipeline: Pipeline): Promise<AuditAnswer> {
  return (await (await fetch(`${pipeline.url}/api/v1/audit?wait=5s`)).json()) as AuditAnswer
}
