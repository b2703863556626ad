/**
 * Writes logs as under a kubelet, with stack traces: each line of the file is numbered, also those within a trace, so that whoever
 * gets them back can tell one lost and one doubled line from none.
 */
import { closeSync, mkdirSync, openSync, renameSync, symlinkSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Content } from 'tributary/generate/content.ts'
import type { BenchPod } from './cluster.ts'

export interface LoadOptions {
  /** Directory that gets `containers/` and `pods/`. */
  readonly out: string
  readonly containers: number
  /** Every n-th record is a stack trace; 0 for none. */
  readonly traceEvery: number
  readonly rotateBytes: number
  /** Old generations that are kept of each log. */
  readonly keep: number
}

const tickMs = 20
const textBytes = 148
const maxLineBytes = 1024
/** What stands before each line's text in a trace of Java. The first line is a record's beginning by its own words. */
const trace = [
  'java.lang.IllegalStateException: ',
  ...Array.from({ length: 9 }, (_, i) => `\tat com.acme.shop.OrderService.place${i}(OrderService.java:${40 + i}) `),
  'Caused by: java.io.IOException: ',
  ...Array.from({ length: 4 }, (_, i) => `\tat com.acme.io.Client.send${i}(Client.java:${70 + i}) `),
]

export class Load {
  readonly #options: LoadOptions
  readonly #content = new Content({ seed: 1, textBytes })
  readonly #logs: Log[]
  readonly #buffer = Buffer.alloc(1 << 20)
  /** Lines of files so far, and records: a stack trace is one. */
  lines = 0
  records = 0
  bytes = 0
  #clock = 0

  constructor(options: LoadOptions) {
    this.#options = options
    mkdirSync(join(options.out, 'containers'), { recursive: true })
    this.#logs = Array.from({ length: options.containers }, (_, i) => new Log(options, i))
  }

  /** Lines written to each container. */
  get written(): number[] {
    return this.#logs.map(({ lines }) => lines)
  }

  /** Writes `rate` lines a second, spread over the first `busy` containers. */
  async run(rate: number, seconds: number, busy = this.#logs.length): Promise<void> {
    const begun = performance.now()
    const before = this.lines
    let next = 0
    for (let elapsed = 0; elapsed < seconds * 1000; ) {
      await sleep(tickMs)
      elapsed = Math.min(performance.now() - begun, seconds * 1000)
      const target = before + Math.floor((rate * elapsed) / 1000)
      const share = Math.ceil((target - this.lines) / busy)
      while (this.lines < target) this.write(next++ % busy, Math.min(share, target - this.lines))
    }
  }

  /** Writes at least `lines` lines to a container: a stack trace is not cut. */
  write(container: number, lines: number): void {
    const log = this.#logs[container]!
    const from = log.lines
    const clock = this.#second()
    let at = 0
    while (log.lines - from < lines) {
      const traced = this.#options.traceEvery > 0 && ++log.records % this.#options.traceEvery === 0
      for (const head of traced ? trace : ['']) at = this.#line(log, at, clock, head)
      this.records++
      if (at > this.#buffer.length - trace.length * maxLineBytes) at = this.#flush(log, at)
    }
    this.#flush(log, at)
    this.lines += log.lines - from
  }

  #line(log: Log, at: number, second: string, head: string): number {
    const fraction = String(this.#clock++ % 1e9).padStart(9, '0')
    const p = at + this.#buffer.write(`${second}.${fraction}Z stdout F ${head}`, at, 'latin1')
    const end = this.#content.write(this.#buffer, p, log.container, log.lines++)
    this.#buffer[end] = 10
    return end + 1
  }

  #flush(log: Log, length: number): number {
    this.bytes += length
    log.append(this.#buffer.subarray(0, length), this.#options)
    return 0
  }

  #second(): string {
    return new Date().toISOString().slice(0, 19)
  }

  close(): void {
    for (const log of this.#logs) log.close()
  }
}

/** The pods whose logs a load of so many containers writes. */
export function loadPods(containers: number): BenchPod[] {
  return Array.from({ length: containers }, (_, i) => ({
    namespace: 'load',
    name: podName(i),
    uid: `uid-${i}`,
    container: 'main',
  }))
}

function podName(container: number): string {
  return `pod-${String(container).padStart(5, '0')}`
}

/** One container's log. */
class Log {
  readonly container: number
  readonly #path: string
  #fd: number
  #size = 0
  #rotations = 0
  lines = 0
  records = 0

  constructor({ out }: LoadOptions, container: number) {
    this.container = container
    const pod = podName(container)
    const directory = join(out, 'pods', `load_${pod}_uid-${container}`, 'main')
    mkdirSync(directory, { recursive: true })
    this.#path = join(directory, '0.log')
    this.#fd = openSync(this.#path, 'a')
    const id = container.toString(16).padStart(64, 'c')
    symlinkSync(this.#path, join(out, 'containers', `${pod}_load_main-${id}.log`))
  }

  append(bytes: Buffer, { rotateBytes, keep }: LoadOptions): void {
    if (this.#size >= rotateBytes) this.#rotate(keep)
    writeSync(this.#fd, bytes)
    this.#size += bytes.length
  }

  #rotate(keep: number): void {
    closeSync(this.#fd)
    const name = (n: number) => `${this.#path}.20261123-${String(n).padStart(6, '0')}`
    renameSync(this.#path, name(++this.#rotations))
    if (this.#rotations > keep) unlinkSync(name(this.#rotations - keep))
    this.#fd = openSync(this.#path, 'a')
    this.#size = 0
  }

  close(): void {
    closeSync(this.#fd)
  }
}
