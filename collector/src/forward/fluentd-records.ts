/**
 * Records as the Fluentd ecosystem expects them (`forward.format: fluentd`): `[EventTime, {log, stream, time, kubernetes: {…}}]`, what
 * Fluent Bit's kubernetes filter and fluent-plugin-kubernetes_metadata_filter put out. What is the same for all records of a source
 * is encoded once.
 */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import { RecordScanner, stderr } from '@tributary/protocol/records.ts'

const mapOf4 = 0x84
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
/** `2026-11-23T14:00:00.123456789Z` as a fixstr. */
const timeLength = 30

/** Rewrites a chunk's records (see protocol/records.ts) for Fluentd. */
export function fluentdRecords(records: Buffer, surroundings: readonly [Buffer, Buffer]): Buffer {
  const scanner = new RecordScanner(records)
  const longest = Math.max(surroundings[0].length, surroundings[1].length) + logKey.length + timeLength + 32
  let out = Buffer.allocUnsafe(records.length * 2 + longest)
  let at = 0
  let second = -1
  let secondText = ''
  while (scanner.next()) {
    const length = scanner.lineEnd - scanner.lineStart
    if (at + length + longest > out.length) {
      const grown = Buffer.allocUnsafe(2 * (out.length + length + longest))
      out.copy(grown, 0, 0, at)
      out = grown
    }
    if (scanner.seconds !== second) {
      second = scanner.seconds
      secondText = new Date(second * 1000).toISOString().slice(0, 20)
    }
    at = writeTime(out, at, scanner)
    out[at++] = mapOf4
    at += surroundings[scanner.stream === stderr ? 1 : 0].copy(out, at)
    out[at++] = 0xa0 | timeLength
    at += out.write(`${secondText}${String(scanner.nanoseconds).padStart(9, '0')}Z`, at, 'latin1')
    at += logKey.copy(out, at)
    out[at++] = 0xdb
    at = out.writeUInt32BE(length, at)
    at += records.copy(out, at, scanner.lineStart, scanner.lineEnd)
  }
  return out.subarray(0, at)
}

function writeTime(out: Buffer, at: number, { seconds, nanoseconds }: RecordScanner): number {
  out[at] = 0x92
  out[at + 1] = 0xd7
  out[at + 2] = 0x00
  out.writeUInt32BE(seconds, at + 3)
  return out.writeUInt32BE(nanoseconds, at + 7)
}
