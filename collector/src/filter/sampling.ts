/**
 * Sampling that decides the same whenever the same record is read again, and the same for all records of a trace: by a hash of the
 * trace id, or of pod, container and offset. Pure.
 */
import { Needle } from './needle.ts'
import type { RecordView } from './record-view.ts'

/** 32 bits, of the bytes (FNV-1a) with the state before them. */
function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193)
}

/** Spreads what differs in few bits over all. */
function spread(hash: number): number {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

export class Sampler {
  readonly #threshold: number
  readonly #seed: number
  readonly #trace = new Needle('race')

  /** @param identity of the log: the same after a restart of anything but the pod */
  constructor(rate: number, identity: string) {
    this.#threshold = rate * 0x100000000
    this.#seed = Buffer.from(identity).reduce(hashByte, 0x811c9dc5)
  }

  begin(chunk: Buffer): void {
    this.#trace.begin(chunk)
  }

  /** Whether a record is one of those that stay. */
  keeps(record: RecordView): boolean {
    return this.#hash(record) < this.#threshold
  }

  #hash(record: RecordView): number {
    const attribute = record.attribute('trace_id') ?? record.attribute('traceId')
    if (attribute) return spread(Buffer.from(attribute.toLowerCase()).reduce(hashByte, 0x811c9dc5))
    const { bytes, lineStart, lineEnd, offset } = record
    const id = this.#traceId(bytes, lineStart, lineEnd)
    if (id !== -1) {
      let hash = 0x811c9dc5
      for (let p = id; p < id + 32; p++) hash = hashByte(hash, bytes[p]! | 0x20)
      return spread(hash)
    }
    let hash = this.#seed
    for (let rest = offset; rest > 0; rest = Math.floor(rest / 256)) hash = hashByte(hash, rest % 256)
    return spread(hash)
  }

  #traceId(bytes: Buffer, start: number, end: number): number {
    for (let at = start; (at = this.#trace.find(bytes, at, end)) !== -1; at += this.#trace.length) {
      const id = traceIdBehind(bytes, at + this.#trace.length, end)
      if (id !== -1) return id
    }
    return -1
  }
}

/** Where the 32 hexadecimal digits behind `trace`, as in `"trace_id":"…"` or `traceId=…`, are; -1 when there are none. */
function traceIdBehind(bytes: Buffer, at: number, end: number): number {
  // `_id": "` is the longest that stands between them.
  for (let p = at; p < Math.min(at + 9, end - 31); p++) {
    if (isHex(bytes[p]!) && !isLetter(bytes[p - 1]!)) {
      let q = p
      while (q < end && isHex(bytes[q]!)) q++
      if (q - p === 32) return p
    }
  }
  return -1
}

function isHex(c: number): boolean {
  return (c >= 0x30 && c <= 0x39) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66)
}

function isLetter(c: number): boolean {
  return (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a
}
