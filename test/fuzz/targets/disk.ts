/** What a disk kept: ours, and the logs of containers. */
import {
  decodeSnapshot,
  encodeEnd,
  encodeHead as encodeSnapshotHead,
  LedgerVersionError,
} from '@tributary/aggregator/ledger/snapshot.ts'
import { crc32c } from '@tributary/aggregator/wal/crc32c.ts'
import {
  decodeHead,
  encodeHead,
  encodeHole,
  headLength,
  smallestHead,
  UnknownRecordError,
} from '@tributary/aggregator/wal/record.ts'
import { SegmentScanner } from '@tributary/aggregator/wal/scan.ts'
import { decodeSegmentHead, encodeSegmentHead, segmentHeadBytes } from '@tributary/aggregator/wal/segment.ts'
import { DockerParser } from '@tributary/collector/cri/docker.ts'
import { detectFormat } from '@tributary/collector/cri/format.ts'
import { CriParser, type LineParser, PlainParser } from '@tributary/collector/cri/line.ts'
import {
  blockHeaderBytes,
  decodeBlockHeader,
  decodeSpoolHeader,
  encodeBlockHeader,
  encodeSpoolHeader,
  headerLength,
  parseSpoolName,
  prefixBytes,
  SpoolDamage,
  type SpoolHeader,
} from '@tributary/collector/spool/spool-format.ts'
import type { DiskFile } from '@tributary/protocol/disk.ts'
import type { Target } from '../fuzz.ts'
import { bytesLike } from '../inputs.ts'
import { start, target } from './target.ts'

const source = Buffer.alloc(16, 7)

const criLines = [
  '2026-01-01T00:00:00.123456789Z stdout F message',
  '2026-01-01T00:00:00+02:00 stderr P:tag part',
  '{"log":"a \\u00e9 \\ud83d\\ude00\\n","stream":"stderr","time":"2026-01-01T00:00:00.5Z"}',
  '{"stream":"stdout","attrs":{"x":[1,"}"]},"time":"2026-01-01T00:00:00Z","log":"\\"\\\\"}',
]

function parseLines(parser: LineParser, bytes: Buffer): void {
  parser.begin(bytes)
  let from = 0
  for (let i = 0; i <= bytes.length; i++) {
    if (i < bytes.length && bytes[i] !== 0x0a) continue
    if (
      parser.parse(from, i) &&
      !(0 <= parser.start && parser.start <= parser.end && parser.end <= parser.arena.length)
    )
      throw new RangeError(`a message at [${parser.start}, ${parser.end}) of ${parser.arena.length} bytes`)
    from = i + 1
  }
}

const marker = Buffer.from('0123456789abcdef', 'hex')
function segment(): Buffer {
  const parts = [encodeSegmentHead(1, { validBefore: 0, marker })]
  let offset = segmentHeadBytes
  const put = (bytes: Buffer) => {
    parts.push(bytes)
    offset += bytes.length
  }
  const body = Buffer.from('message of a record')
  for (const more of [
    {},
    { source, records: 3 },
    { source, records: 3, seam: { source, at: 4, records: 2 }, tenant: 'shop' },
  ]) {
    const record = { accepted: [[0, 5]] as const, message: body, receivedAt: 12, ...more }
    put(encodeHead(record, crc32c(body), { marker, offset, groupStart: segmentHeadBytes }))
    put(body)
  }
  put(encodeHole(marker, offset, offset + smallestHead + 20))
  put(Buffer.alloc(20))
  return Buffer.concat(parts)
}

/** A file of which only reading is asked. */
function fileOf(bytes: Buffer): DiskFile {
  return {
    read: async (into: Buffer, at: number) => bytes.copy(into, 0, Math.min(at, bytes.length)),
  } as unknown as DiskFile
}

async function scanSegment(bytes: Buffer): Promise<void> {
  decodeSegmentHead(bytes.subarray(0, segmentHeadBytes))
  const scanner = new SegmentScanner(fileOf(bytes), marker, 0)
  let position = -1
  for (;;) {
    const found = await scanner.next(bytes.length)
    if (found === undefined) return
    if (scanner.position <= position) throw new RangeError(`the scan stands still at ${position}`)
    position = scanner.position
  }
}

export const diskTargets: readonly Target[] = [
  target(
    'heads of the write-ahead log',
    bytesLike([segment().subarray(segmentHeadBytes)]),
    [UnknownRecordError],
    (bytes) => {
      if (bytes.length < smallestHead) return
      const length = headLength(bytes.subarray(0, smallestHead), marker)
      if (length === undefined || length > bytes.length) return
      // As if the checksum were right: whoever writes to the disk can make it so.
      const head = Buffer.from(bytes.subarray(0, length))
      const place = Buffer.alloc(8)
      place.writeDoubleLE(99)
      head.writeUInt32LE(crc32c(head.subarray(0, -4), crc32c(place)), length - 4)
      decodeHead(head, 99)
    },
  ),
  target('segments of the write-ahead log', bytesLike([segment()]), [UnknownRecordError], scanSegment),
  target(
    'snapshots of the ledger',
    bytesLike([Buffer.from(encodeSnapshotHead(start) + encodeEnd(0))]),
    [LedgerVersionError],
    decodeSnapshot,
  ),
  target('lines of containers', bytesLike(criLines.map((line) => Buffer.from(line))), [], (bytes) => {
    for (const parser of [new CriParser(), new DockerParser(), new PlainParser()]) parseLines(parser, bytes)
    detectFormat(bytes, true)
  }),
  target(
    'spool files',
    bytesLike([
      encodeSpoolHeader({ source: 'x' } as unknown as SpoolHeader),
      encodeBlockHeader({ offset: 0, raw: 5, stored: 6, crc: 7 }),
    ]),
    [SpoolDamage],
    (bytes) => {
      decodeBlockHeader(bytes.subarray(0, blockHeaderBytes), 0)
      parseSpoolName(bytes.toString('latin1'))
      const length = headerLength(bytes.subarray(0, prefixBytes))
      decodeSpoolHeader(bytes.subarray(0, prefixBytes), bytes.subarray(prefixBytes, prefixBytes + length))
    },
  ),
]
