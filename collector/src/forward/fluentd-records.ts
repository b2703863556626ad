/**
 * Records as the Fluentd ecosystem expects them (`forward.format: fluentd`): `[EventTime, {log, stream, time, kubernetes: {…}}]`, and `attributes: {…}` where a record has some; what
 * Fluent Bit's kubernetes filter and fluent-plugin-kubernetes_metadata_filter put out. What is the same for all records of a source
 * is encoded once.
 */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import { RecordScanner, stderr } from '@tributary/protocol/records.ts'

const mapOf4 = 0x84
const mapOf5 = 0x85
const key = (name: string) => encode(name)

/** The pairs `stream` and `kubernetes` of each stream. */
export function encodeSurroundings({ labels, metadata }: StreamMetadata): readonly [stdout: Buffer, stderr: Buffer] {
  const kubernetes = {
    namespace_name: labels['namespace'],
    pod_name: labels['pod'],
    container_name: labels['container'],
    host: labels['node'],
    pod_id: metadata['pod_uid'],
    docker_id: metadata['container_id'],
  }
  const known = Object.fromEntries(Object.entries(kubernetes).filter(([, value]) => value !== undefined))
  const pairs = (stream: string) =>
    Buffer.concat([key('stream'), encode(stream), key('kubernetes'), encode(known), key('time')])
  return [pairs('stdout'), pairs('stderr')]
}

const logKey = key('log')
const attributesKey = key('attributes')
/** `2026-11-23T14:00:00.123456789Z` as a fixstr: header, 20 bytes up to the point, nine digits, Z. */
const timeBytes = 31
const secondBytes = 20

export class FluentdEncoder {
  /** Used for every chunk: memory that is new each time costs more than what is written to it. */
  #out: Buffer = Buffer.alloc(0)
  readonly #time = Buffer.alloc(timeBytes, 'Z')
  #second = -1

  constructor() {
    this.#time[0] = 0xa0 | (timeBytes - 1)
  }

  /** Rewrites a chunk's records (see protocol/records.ts) for Fluentd. The result is overwritten by the next call. */
  encode(records: Buffer, surroundings: readonly [Buffer, Buffer]): Buffer {
    const scanner = new RecordScanner(records)
    const room =
      Math.max(surroundings[0].length, surroundings[1].length) + logKey.length + attributesKey.length + timeBytes + 32
    const time = this.#time
    let out = this.#out
    let at = 0
    while (scanner.next()) {
      const { seconds, nanoseconds, lineStart, lineEnd, attributeCount, attributesStart, attributesEnd } = scanner
      const length = lineEnd - lineStart
      const needed = at + length + attributesEnd - attributesStart + room
      if (needed > out.length) out = this.#grow(at, needed)
      if (seconds !== this.#second) this.#setSecond(seconds)
      writeDigits(time, 1 + secondBytes, nanoseconds)
      out[at] = 0x92
      out[at + 1] = 0xd7
      out[at + 2] = 0x00
      at = writeUint32(out, at + 3, seconds)
      at = writeUint32(out, at, nanoseconds)
      out[at++] = attributeCount === 0 ? mapOf4 : mapOf5
      at += surroundings[scanner.stream === stderr ? 1 : 0].copy(out, at)
      for (let i = 0; i < timeBytes; i++) out[at + i] = time[i]!
      at += timeBytes
      if (attributeCount > 0) {
        // A map of their own: names such as `time` stand for something else beside it.
        at += attributesKey.copy(out, at)
        out[at] = 0xde
        out[at + 1] = attributeCount >> 8
        out[at + 2] = attributeCount & 0xff
        at += 3 + records.copy(out, at + 3, attributesStart, attributesEnd)
      }
      for (let i = 0; i < logKey.length; i++) out[at + i] = logKey[i]!
      at += logKey.length
      out[at++] = 0xdb
      at = writeUint32(out, at, length)
      at += records.copy(out, at, lineStart, lineEnd)
    }
    return out.subarray(0, at)
  }

  #setSecond(seconds: number): void {
    this.#second = seconds
    this.#time.write(`${new Date(seconds * 1000).toISOString().slice(0, secondBytes - 1)}.`, 1, 'latin1')
  }

  /** More room, with the first `used` bytes kept. */
  #grow(used: number, needed: number): Buffer {
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#out.length, needed))
    this.#out.copy(grown, 0, 0, used)
    this.#out = grown
    return grown
  }
}

function writeDigits(out: Buffer, at: number, nanoseconds: number): void {
  for (let i = at + 8, left = nanoseconds; i >= at; i--) {
    const rest = (left / 10) | 0
    out[i] = 0x30 + left - rest * 10
    left = rest
  }
}

function writeUint32(out: Buffer, at: number, value: number): number {
  out[at] = value >>> 24
  out[at + 1] = (value >>> 16) & 0xff
  out[at + 2] = (value >>> 8) & 0xff
  out[at + 3] = value & 0xff
  return at + 4
}
