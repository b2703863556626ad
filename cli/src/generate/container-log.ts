/** One container that writes its log: records into the active file, in batches, and a rotation when it is full. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import type { Content } from './content.ts'
import type { Place } from './layout.ts'
import { type RotationKind, Rotator } from './rotation.ts'
import {
  beginLine,
  endLine,
  LineClock,
  pieceEnd,
  type RuntimeFormat,
  runtimeOverhead,
  type Stream,
} from './runtime-line.ts'
import { type ContainerTruth, type GenerationTruth, takeFingerprint } from './truth.ts'

export interface LogOptions {
  readonly format: RuntimeFormat
  readonly content: Content
  readonly rotation: RotationKind
  /** Size at which the file is rotated; 0 for never. */
  readonly rotateBytes: number
  readonly keep: number
  /** Rename: how long the old file is written to before the new one is there. copytruncate: how long nothing is written before the copy. */
  readonly gapMs: number
  /** Percent of the records on stderr, and of those that are long and come in pieces. */
  readonly stderrPercent: number
  readonly partialPercent: number
  /** Where the runtime splits a record. */
  readonly pieceBytes: number
}

/** One write system call for each batch, at most this long; a longer batch is several. */
const batchBytes = 1024 * 1024

export class ContainerLog {
  readonly truth: ContainerTruth
  readonly #options: LogOptions
  readonly #place: Place
  readonly #rotator: Rotator
  readonly #clock = new LineClock()
  readonly #batch: Buffer
  /** A record of the longest kind and one interleaved with it. */
  readonly #reserve: number
  #fd: number
  #generation: GenerationTruth
  #batchStart = 0
  #at = 0
  /** When the rotation that is under way ends; 0 when none is. */
  #rotatesAt = 0

  constructor(container: number, place: Place, options: LogOptions) {
    const { pod, uid, name, namespace } = place
    this.truth = { container, namespace, pod, uid, name, lines: 0, generations: [] }
    this.#options = options
    this.#place = place
    this.#rotator = new Rotator(place, options.rotation, options.keep)
    this.#reserve = 6 * (options.pieceBytes + runtimeOverhead) + 64 * 1024
    this.#batch = Buffer.allocUnsafeSlow(batchBytes + this.#reserve)
    this.#fd = openSync(place.active, 'a')
    this.#generation = this.#begin()
  }

  /** Writes `count` records; fewer when a copytruncate wants quiet. */
  write(count: number, nowMs: number): void {
    if (this.#rotatesAt > 0 && nowMs >= this.#rotatesAt) this.#rotate(nowMs)
    if (this.#rotatesAt > 0 && this.#options.rotation === 'copytruncate') return
    this.#clock.catchUp(nowMs)
    const end = this.truth.lines + count
    while (this.truth.lines < end) {
      this.#record(end - this.truth.lines > 1)
      if (this.#at > batchBytes) this.#flush()
    }
    this.#flush()
    const { rotateBytes, gapMs, rotation } = this.#options
    if (rotateBytes === 0 || this.#rotatesAt > 0 || this.#generation.bytes < rotateBytes) return
    if (rotation !== 'copytruncate') this.#rotator.retire(this.#generation, nowMs)
    this.#rotatesAt = nowMs + gapMs
    if (gapMs === 0) this.#rotate(nowMs)
  }

  /** Ends a rotation that is under way, and writes no more. */
  close(nowMs: number): void {
    if (this.#rotatesAt > 0) this.#rotate(nowMs)
    closeSync(this.#fd)
  }

  #rotate(nowMs: number): void {
    this.#rotatesAt = 0
    if (this.#options.rotation === 'copytruncate') {
      this.#rotator.retire(this.#generation, nowMs)
      ftruncateSync(this.#fd, 0)
    } else {
      closeSync(this.#fd)
      this.#fd = openSync(this.#place.active, 'a')
    }
    this.#generation = this.#begin()
    this.#rotator.settle()
  }

  #begin(): GenerationTruth {
    const generation: GenerationTruth = {
      path: this.#place.active,
      deleted: false,
      restart: this.#place.restart,
      firstSeq: this.truth.lines,
      bytes: 0,
      starts: [],
      fingerprint: Buffer.alloc(0),
    }
    this.truth.generations.push(generation)
    return generation
  }

  #flush(): void {
    if (this.#at === 0) return
    const bytes = this.#batch.subarray(0, this.#at)
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at)
    takeFingerprint(this.#generation, bytes)
    this.#generation.bytes += bytes.length
    this.#batchStart = this.#generation.bytes
    this.#at = 0
  }

  /** The next record; `mayInterleave` the one after it too, between the pieces of the first. */
  #record(mayInterleave: boolean): void {
    const { content, partialPercent } = this.#options
    const { container, lines } = this.truth
    const draw = content.decide(container, lines, 5) % 10_000
    if (draw < partialPercent * 100) this.#pieces(mayInterleave)
    else this.#whole(this.#stream(this.#nextSeq()))
  }

  #stream(seq: number): Stream {
    const { content, stderrPercent } = this.#options
    return content.decide(this.truth.container, seq, 6) % 10_000 < stderrPercent * 100 ? 'stderr' : 'stdout'
  }

  #nextSeq(): number {
    if (this.#at === 0) this.#batchStart = this.#generation.bytes
    this.#generation.starts.push(this.#batchStart + this.#at)
    return this.truth.lines++
  }

  #whole(stream: Stream): void {
    const { format, content } = this.#options
    const out = this.#batch
    let p = beginLine(out, this.#at, format, this.#clock, stream, false)
    p = content.write(out, p, this.truth.container, this.truth.lines - 1)
    this.#at = endLine(out, p, format, this.#clock, stream, false)
  }

  #pieces(mayInterleave: boolean): void {
    const { format, content, pieceBytes } = this.#options
    const seq = this.#nextSeq()
    const stream = this.#stream(seq)
    const draw = content.decide(this.truth.container, seq, 7)
    const text = content.long(this.truth.container, seq, Math.ceil(pieceBytes * (1 + (draw % 200) / 100)))
    for (let start = 0; start < text.length; ) {
      const end = pieceEnd(text, start, pieceBytes, format)
      const partial = end < text.length
      let p = beginLine(this.#batch, this.#at, format, this.#clock, stream, partial)
      p += text.copy(this.#batch, p, start, end)
      this.#at = endLine(this.#batch, p, format, this.#clock, stream, partial)
      if (start === 0 && mayInterleave && draw % 4 === 0) {
        this.#nextSeq()
        this.#whole(stream === 'stdout' ? 'stderr' : 'stdout')
      }
      start = end
    }
  }
}
