/** The load generator: containers that write log files as under a kubelet, at a rate or as fast as they can. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { ContainerLog, type LogOptions } from './container-log.ts'
import { Content } from './content.ts'
import { makePlace } from './layout.ts'
import type { RotationKind } from './rotation.ts'
import type { RuntimeFormat } from './runtime-line.ts'
import type { Truth } from './truth.ts'

export interface GenerateOptions {
  /** Directory that gets `containers/` and `pods/`. */
  readonly out: string
  readonly containers: number
  /** Lines per second of all containers together; 0 for as fast as possible. */
  readonly rate: number
  /** Ends after so long or so many lines, whichever comes first; Infinity for neither. */
  readonly durationMs: number
  readonly maxLines: number
  readonly seed: number
  readonly namespace: string
  readonly format: RuntimeFormat
  /** Mean size of a line in CRI format, with its header and LF. */
  readonly lineBytes: number
  readonly rotation: RotationKind
  readonly rotateBytes: number
  readonly keep: number
  readonly gapMs: number
  readonly stderrPercent: number
  readonly partialPercent: number
  readonly pieceBytes: number
}

export const generateDefaults = {
  containers: 10,
  rate: 1000,
  durationMs: 10_000,
  maxLines: Number.POSITIVE_INFINITY,
  seed: 1,
  namespace: 'demo',
  format: 'cri',
  lineBytes: 189,
  rotation: 'kubelet',
  rotateBytes: 10 * 1024 * 1024,
  keep: Number.POSITIVE_INFINITY,
  gapMs: 10,
  stderrPercent: 10,
  partialPercent: 0,
  /** containerd's default, and docker's. */
  pieceBytes: 16 * 1024,
} as const satisfies Omit<GenerateOptions, 'out'>

/** `2026-11-23T15:34:29.123456789Z stdout F ` and the LF. */
const criHeaderBytes = 41
const tickMs = 20
/** Records a container writes at a time when there is no rate; short enough that rotations come in time. */
const fullSpeedBatch = 256
/** Records a container writes at a time to catch up with its rate. */
const maxBatch = 4096

/** Runs until the end that the options say or the signal; whatever was begun is whole then. */
export async function generate(options: GenerateOptions, signal?: AbortSignal): Promise<Truth> {
  const content = new Content({ seed: options.seed, textBytes: options.lineBytes - criHeaderBytes })
  const logOptions: LogOptions = { ...options, content }
  const logs = Array.from(
    { length: options.containers },
    (_, i) => new ContainerLog(i, makePlace(options.out, i, options), logOptions),
  )
  const begun = performance.now()
  try {
    if (options.rate > 0) await atRate(logs, options, signal)
    else await atFullSpeed(logs, options, signal)
  } finally {
    for (const log of logs) log.close(Date.now())
  }
  const seconds = (performance.now() - begun) / 1000
  return { seed: options.seed, containers: logs.map(({ truth }) => truth), seconds }
}

async function atFullSpeed(logs: readonly ContainerLog[], options: GenerateOptions, signal?: AbortSignal) {
  const { durationMs, maxLines } = options
  const end = performance.now() + durationMs
  let written = 0
  for (let i = 0; written < maxLines && performance.now() < end && !signal?.aborted; i++) {
    const { truth } = logs[i % logs.length]!
    const before = truth.lines
    logs[i % logs.length]!.write(Math.min(fullSpeedBatch, maxLines - written), Date.now())
    written += truth.lines - before
    if (i % 4 === 0) await setImmediate()
  }
}

async function atRate(logs: readonly ContainerLog[], options: GenerateOptions, signal?: AbortSignal) {
  const { rate, durationMs, maxLines } = options
  const begun = performance.now()
  let due = 0
  let next = 0
  for (let elapsed = 0; elapsed < durationMs && due < maxLines && !signal?.aborted; ) {
    await sleep(tickMs)
    elapsed = Math.min(performance.now() - begun, durationMs)
    const target = Math.min(Math.floor((rate * elapsed) / 1000), maxLines)
    let rest = target - due
    due = target
    // Each container writes its share of the tick in one piece; what doesn't divide goes round.
    const share = Math.ceil(rest / logs.length)
    while (rest > 0) {
      const count = Math.min(share, rest, maxBatch)
      logs[next++ % logs.length]!.write(count, Date.now())
      rest -= count
    }
  }
}
