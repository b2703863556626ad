/**
 * Records as the Fluentd ecosystem expects them (`forward.format: fluentd`): `[EventTime, {log, stream, time, kubernetes: {…}}]`, and `attributes: {…}` where a record has some; what
 * Fluent Bit's kubernetes filter and fluent-plugin-kubernetes_metadata_filter put out. What is the same for all records of a source
 * is encoded once.
 */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import { RecordScanner } from '@tributary/protocol/records.ts'

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
    const heads = [new Head(surroundings[0]), new Head(surroundings[1])] as const
    const room = Math.max(heads[0].bytes.length, heads[1].bytes.length)
    let out = this.#out
    let at = 0
    while (scanner.next()) {
      const { seconds, nanoseconds, lineStart, lineEnd, attributeCount, attributesStart, attributesEnd } = scanner
      const length = lineEnd - lineStart
      const needed = at + length + attributesEnd - attributesStart + room + attributesKey.length + 3
      if (needed > out.length) out = this.#grow(at, needed)
      if (seconds !== this.#second) this.#setSecond(seconds)
      const head = heads[scanner.stream]
      const { bytes, view, timeAt, logAt } = head
      if (seconds !== head.second) {
        head.second = seconds
        view.setUint32(secondsAt, seconds)
        bytes.set(this.#time, timeAt)
      }
      view.setUint32(secondsAt + 4, nanoseconds)
      writeDigits(bytes, timeAt + 1 + secondBytes, nanoseconds)
      view.setUint32(bytes.length - 4, length)
      out.set(bytes, at)
      if (attributeCount === 0) at += bytes.length
      else {
        out[at + mapAt] = mapOf5
        // A map of their own: names such as `time` stand for something else beside it.
        at += logAt
        at += attributesKey.copy(out, at)
        out[at] = 0xde
        out[at + 1] = attributeCount >> 8
        out[at + 2] = attributeCount & 0xff
        at += 3 + records.copy(out, at + 3, attributesStart, attributesEnd)
        at += bytes.copy(out, at, logAt)
      }
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

const secondsAt = 3
const mapAt = secondsAt + 8

/** All of a record before its line, with times and length to be filled in: copied at once. */
class Head {
  readonly bytes: Buffer
  readonly view: DataView
  /** Where the time as text begins, and where the pair with the line does. */
  readonly timeAt: number
  readonly logAt: number
  /** What the times are filled in with, but for their fraction. */
  second = -1

  constructor(surroundings: Buffer) {
    const eventTime = Buffer.from([0x92, 0xd7, 0x00, 0, 0, 0, 0, 0, 0, 0, 0])
    const map = Buffer.from([mapOf4])
    const length = Buffer.from([0xdb, 0, 0, 0, 0])
    this.bytes = Buffer.concat([eventTime, map, surroundings, Buffer.alloc(timeBytes), logKey, length])
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
    this.timeAt = eventTime.length + 1 + surroundings.length
    this.logAt = this.timeAt + timeBytes
  }
}
