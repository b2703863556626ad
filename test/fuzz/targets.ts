/** Every decoder that reads what others sent or what a disk kept, each with the errors that it says it throws. */
import { deflateRawSync, gzipSync } from 'node:zlib'
import { Access, forRead } from '@tributary/aggregator/access/access.ts'
import { AccessError } from '@tributary/aggregator/access/access-error.ts'
import { Credentials, parseAuthorization } from '@tributary/aggregator/access/credentials.ts'
import {
  ParameterError,
  parseTime,
  readDirection,
  readInterval,
  readLimit,
  readStep,
  readTimeRange,
} from '@tributary/aggregator/api/params.ts'
import {
  decodeSnapshot,
  encodeEnd,
  encodeHead as encodeSnapshotHead,
  LedgerVersionError,
} from '@tributary/aggregator/ledger/snapshot.ts'
import { MessageDecoder } from '@tributary/aggregator/load/decode-message.ts'
import { textOf, ValueReader } from '@tributary/aggregator/load/decode-value.ts'
import type { LogExpression } from '@tributary/aggregator/logql/ast.ts'
import { LogqlError, QueryError } from '@tributary/aggregator/logql/error.ts'
import { parseQuery, parseSelectorQuery } from '@tributary/aggregator/logql/parser.ts'
import { compileStages } from '@tributary/aggregator/logql/pipeline/compile.ts'
import type { CompiledStage } from '@tributary/aggregator/logql/pipeline/stage.ts'
import { WorkingEntry } from '@tributary/aggregator/logql/pipeline/working-entry.ts'
import { plan } from '@tributary/aggregator/logql/plan.ts'
import { decompressBody } from '@tributary/aggregator/push/body.ts'
import { readJsonPush } from '@tributary/aggregator/push/json.ts'
import { readPushRequest } from '@tributary/aggregator/push/protobuf.ts'
import { encodePush, isPush, readPush } from '@tributary/aggregator/push/push-message.ts'
import { PushError } from '@tributary/aggregator/push/push-request.ts'
import { LabelsError, parseStreamLabels } from '@tributary/aggregator/push/stream-labels.ts'
import { encodePushRequest } from '@tributary/aggregator/push/test-push.ts'
import { checkMessage } from '@tributary/aggregator/receive/check-message.ts'
import { FrameError, FrameSplitter } from '@tributary/aggregator/syslog/frame.ts'
import { streamsOf } from '@tributary/aggregator/syslog/streams.ts'
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
import {
  type ChunkHeader,
  chunkHeader,
  chunkOptions,
  encodeAck,
  ledgerQuery,
  ledgerQueryOptions,
  parseAck,
  querySession,
} from '@tributary/protocol/chunk.ts'
import { CompressionError, compress, declaredSize, decompress } from '@tributary/protocol/compression.ts'
import type { DiskFile } from '@tributary/protocol/disk.ts'
import { forwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import {
  checkPong,
  encodeHelo,
  encodePing,
  encodePong,
  HandshakeError,
  newHelo,
  parseHelo,
  parsePing,
  refusal,
} from '@tributary/protocol/handshake.ts'
import { decode, EventTime, encode, MsgpackError, skip, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import {
  decodeAttributes,
  encodeAttributes,
  RecordScanner,
  stderr,
  stdout,
  writeRecordHead,
} from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { compressSync } from 'snappy'
import type { Target } from './fuzz.ts'
import { bytesLike, textLike } from './inputs.ts'

const maxBytes = 1 << 20
const time = new EventTime(1_700_000_000, 5)
const source = Buffer.alloc(16, 7)
const values = [
  null,
  true,
  -5,
  2 ** 40,
  0.5,
  'text',
  Buffer.from([0xff, 0]),
  ['a', { b: ['c'] }],
  { log: 'x'.repeat(40), n: { m: 1 } },
  time,
]

function records(): { bytes: Buffer; count: number } {
  const out = Buffer.alloc(4096)
  let p = 0
  for (const [i, line] of [
    'level=info one',
    'two',
    '{"a":"b","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}',
  ].entries()) {
    const attributes = i === 1 ? encodeAttributes({ level: 'warn', user: 'ann' }) : undefined
    p = writeRecordHead(
      out,
      p,
      1_700_000_000,
      i,
      10 * i,
      line.length,
      i === 2 ? stderr : stdout,
      i,
      false,
      attributes,
      attributes ? 2 : 0,
    )
    p += out.write(line, p)
  }
  return { bytes: Buffer.from(out.subarray(0, p)), count: 3 }
}

const header: ChunkHeader = {
  ...{
    source,
    range: [0, 100],
    seen: 120,
    rawBytes: 300,
    path: '/var/log/pods/x/0.log',
    labels: { pod: 'p', app: 'a' },
  },
  ...{ metadata: { pod_uid: 'u' }, session: 's', leftOut: { dropped: 5 } },
}
const seamed: ChunkHeader = { ...header, seam: { source: Buffer.alloc(16, 8), at: 60 } }
const lost: ChunkHeader = { ...header, outcome: { kind: 'lost', reason: 'deleted' } }
const packed = records()
const entries = Buffer.concat([
  encode([time, { log: 'x', kubernetes: { pod_name: 'p', labels: { app: 'a' } } }]),
  encode([[time, { otlp: { severity_number: 9 } }], { message: 'm' }]),
  encode([5, { k: [1, null] }]),
])
const message = (bytes: Uint8Array, options: Record<string, unknown>) =>
  Buffer.concat(forwardMessage('tag', bytes, options))
const messages = [
  encode(null),
  encode(['t', time, { log: 'x' }, { chunk: 'c' }]),
  encode([
    't',
    [
      [time, { log: 'x' }],
      [[5, {}], { message: 'y' }],
    ],
    { chunk: 'c', fluent_signal: 0 },
  ]),
  message(entries, { chunk: 'c' }),
  message(compress(entries, 'gzip'), { compressed: 'gzip' }),
  message(compress(packed.bytes, 'zstd'), chunkOptions(header, packed.count, 'zstd')),
  message(packed.bytes, chunkOptions(seamed, packed.count, 'none')),
  message(Buffer.alloc(0), chunkOptions(lost, 0, 'none')),
  message(Buffer.alloc(0), ledgerQueryOptions('q', [{ source, keep: 5 }], 's')),
]

const helo = newHelo(true)
const salt = Buffer.alloc(16, 3)
const ping = encodePing(helo, 'client', salt, { sharedKey: 'k', username: 'u', password: 'p' })

const push = [
  {
    name: '{a="b"}',
    labels: { a: 'b', c: 'd' },
    entries: [
      { seconds: 5, nanoseconds: 6, line: Buffer.from('line'), metadata: { trace_id: 'x' } },
      { seconds: -1, nanoseconds: 0, line: Buffer.alloc(0), metadata: undefined },
    ],
  },
]
const protobuf = encodePushRequest([
  {
    labels: '{a="b"}',
    entries: [
      { time: 5_000_000_001n, line: 'one', metadata: { k: 'v' } },
      { time: -3n, line: 'two' },
    ],
  },
])
const json = [
  '{"streams":[{"stream":{"a":"b","n":1},"values":[["1700000000000000000","line",{"k":"v"}],["5","x"]]}]}',
  '{"streams":null}',
]
const syslog = [
  '<165>1 2026-01-02T03:04:05.000003-07:00 host app 8710 ID47 [ex@1 a="1" b="q\\"u"][other] a line\n',
  '<13>Jan  2 03:04:06 host app[12]: a line\n<14>x\n',
  '20 <34>1 - - - - - - abc14 <34>Feb 1 abc',
]

const logql = [
  '{a="b"} |= "c"',
  'sum(rate({a="b"}[5m]))',
  '{a="b", c=~"d|e.*", f!="g"} |= "x" or "y" !~ `z+` | json | logfmt | status >= 400 and (a="b" or c!="d") | line_format "{{.a}}" | drop a, b="c"',
  'sum by (a, b) (rate({a="b"} | unwrap bytes(size) [5m] offset 1h)) / 2 ^ -1 > bool 3',
  'topk(3, quantile_over_time(0.9, {a="b"} | regexp `(?P<x>\\w+)` | unwrap x | __error__="" [1m])) without (c)',
  'label_replace(vector(1), "a", "$1", "b", "(.*)") or on (a) group_left (b) count_over_time({a=""}[1w2d3h4m5s6ms])',
]

const shownLines = [
  '{"a": {"b": [1, "x"]}, "c": null, "_entry": "e", "d": "\\u00e9\\ud83d"}',
  'level=info msg="a \\" b" size=10kb took=1h2m ip=10.0.0.1 =x y=',
  '10.1.2.3 - - [01/Jan/2026] "GET /x HTTP/1.1" 200 \u001b[31m5\u001b[0m',
]
const everyStage = [
  '| json | logfmt --strict --keep-empty | unpack | regexp `(?P<x>\\w+)=(?P<y>.*)` | pattern "<a> - <_> [<t>] <r>" | decolorize',
  '| json p="a.b[0]", q="[\\"c\\"]" | logfmt m="msg" | line_format `{{.a | ToUpper}} {{ __line__ | trunc 3 }} {{ .size | bytes }}`',
  '| logfmt | label_format n=`{{ .level }}{{ regexReplaceAll "(a+)" .msg "$1" }}`, o=level | size > 5KB or took <= 1m or status != 2.5',
  '| ip = ip("10.0.0.0/8") |= ip("10.1.2.3-10.1.2.9") !~ `z.*` |> "<_>GET <_>" | keep a, b="x" | drop c, __error__=~".+"',
].map((stages) => compileStages((parseQuery(`{a="b"} ${stages}`) as LogExpression).stages))

function runStages(stages: CompiledStage, line: string): void {
  const entry = new WorkingEntry()
  entry.begin(5n, line, new Map([['a', 'b']]), new Map([['trace_id', 'c']]))
  stages(entry)
}

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

const decoder = () =>
  new MessageDecoder({
    discoverServiceName: true,
    detectLevel: true,
    detectTrace: true,
    maxEntriesBytes: maxBytes,
    id: 'here',
  })
const start = { segment: 1, offset: 0 }
const noRows = { setStream: () => {}, add: () => {} }

const access = new Access(new Credentials([{ name: 'a', token: 't', roles: ['read'], tenants: ['*'] }]), true)

function target<Input>(
  name: string,
  input: fc.Arbitrary<Input>,
  errors: Target['errors'],
  run: (input: Input) => unknown,
): Target {
  return { name, input, errors, run } as Target
}

export const targets: readonly Target[] = [
  target('MessagePack values', bytesLike(values.map((value) => encode(value))), [MsgpackError], (bytes) => {
    if (skip(bytes, 0, bytes.length) > bytes.length) throw new RangeError('a value that ends behind its bytes')
    decode(bytes)
  }),
  target(
    'MessagePack, cut anywhere',
    fc.tuple(bytesLike(messages), fc.array(fc.nat(400), { maxLength: 5 })),
    [MsgpackError],
    ([bytes, cuts]) => {
      const splitter = new ValueSplitter(4096)
      let from = 0
      for (const cut of [...cuts, bytes.length].map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b)) {
        splitter.push(bytes.subarray(from, cut))
        from = cut
      }
    },
  ),
  target(
    'records of other senders, as values',
    bytesLike(values.map((value) => encode(value))),
    [MsgpackError],
    (bytes) => {
      const reader = new ValueReader(bytes)
      while (!reader.done) textOf(reader.next())
    },
  ),
  target('Forward messages', bytesLike(messages), [MsgpackError], (bytes) => parseMessage(bytes)),
  target('what the receiver takes', bytesLike(messages), [ReceiveError], (bytes) => checkMessage(bytes, maxBytes)),
  target(
    'headers of chunks, queries, acknowledgements',
    bytesLike([...messages, encodeAck({ ack: 'c', ranges: [[[0, 5]]] })]),
    [MsgpackError],
    (bytes) => {
      const value = decode(bytes)
      const options = Array.isArray(value) ? value.at(-1) : value
      chunkHeader(options)
      ledgerQuery(options)
      querySession(options)
      parseAck(value)
    },
  ),
  target('records of a chunk', bytesLike([packed.bytes]), [MsgpackError], (bytes) => {
    const scanner = new RecordScanner(bytes)
    while (scanner.next())
      if (scanner.attributeCount > 0) decodeAttributes(bytes, scanner.attributesStart, scanner.attributesEnd)
  }),
  target('messages to rows', bytesLike([...messages, encodePush(push)]), [MsgpackError, CompressionError], (bytes) =>
    decoder().decode({ message: bytes, accepted: [[0, 100]], start, tenant: 'shop' }, noRows),
  ),
  target('pushes in the write-ahead log', bytesLike([encodePush(push)]), [MsgpackError], (bytes) => {
    const parsed = parseMessage(bytes)
    if (parsed !== undefined && isPush(parsed.options)) readPush(parsed.entries)
  }),
  target(
    'handshakes',
    bytesLike([encodeHelo(helo), ping, encodePong(helo, parsePing(ping), 'server', 'k')]),
    [HandshakeError],
    (bytes) => {
      const parsers = [
        () => parseHelo(bytes),
        () => refusal(helo, parsePing(bytes), 'k', new Map([['u', 'p']])),
        () => checkPong(bytes, helo, salt, 'client', 'k'),
      ]
      let refused: unknown
      let taken = 0
      for (const parse of parsers) {
        try {
          parse()
          taken++
        } catch (error) {
          if (!(error instanceof HandshakeError)) throw error
          refused = error
        }
      }
      if (taken === 0) throw refused
    },
  ),
  target(
    'gzip and zstd',
    bytesLike(
      [
        compress(entries, 'gzip') as Buffer,
        compress(entries, 'zstd') as Buffer,
        gzipSync(Buffer.alloc(3000)),
        compress(Buffer.alloc(1 << 16), 'zstd') as Buffer,
      ].map((bytes) => Buffer.from(bytes)),
    ),
    [CompressionError],
    (bytes) => {
      declaredSize(bytes)
      if (decompress(bytes, 1 << 15).length > 1 << 15) throw new RangeError('more than the cap')
    },
  ),
  target(
    'bodies: snappy, gzip, deflate',
    fc.tuple(
      fc.constantFrom('snappy', 'gzip', 'deflate' as const),
      bytesLike([
        compressSync(protobuf),
        gzipSync(protobuf),
        deflateRawSync(protobuf),
        compressSync(Buffer.alloc(1 << 14)),
      ]),
    ),
    [PushError],
    async ([encoding, bytes]) => {
      const body = await decompressBody(bytes, encoding as 'snappy', 1 << 13)
      if (body.length > 1 << 13) throw new RangeError('more than the cap')
    },
  ),
  target('pushes in protobuf', bytesLike([protobuf]), [PushError], readPushRequest),
  target('pushes in JSON', textLike(json), [PushError], readJsonPush),
  target('labels of a push', textLike(['{a="b", c="d\\n\\u00e9"}', '{a=`b`}', '{}']), [LabelsError], parseStreamLabels),
  target('syslog', bytesLike(syslog.map((text) => Buffer.from(text))), [FrameError], (bytes) => {
    const splitter = new FrameSplitter(200)
    const half = bytes.length >> 1
    const frames = [bytes.subarray(0, half), bytes.subarray(half)].flatMap((part) => splitter.push(part))
    streamsOf([...frames, ...splitter.end()], 'peer', 1_700_000_000_000)
  }),
  target('LogQL', textLike(logql), [LogqlError], (text) => plan(parseQuery(text))),
  target('stages of any query, on a line', textLike(logql), [LogqlError, QueryError], (text) => {
    const expression = parseQuery(text)
    if (expression.kind === 'log')
      runStages(compileStages(expression.stages), '{"status": "500", "a": {"b": [1]}} size=10kb a="b"')
  }),
  target('lines, in every stage', textLike(shownLines), [], (line) => {
    for (const stages of everyStage) runStages(stages, line)
  }),
  target('selectors', textLike(['{a="b", c=~"d|e", f!~`g`}', '{}']), [LogqlError], parseSelectorQuery),
  target(
    'parameters of queries',
    fc.dictionary(
      fc.constantFrom('start', 'end', 'since', 'step', 'interval', 'limit', 'direction'),
      textLike(['1700000000', '1.5', '2026-01-01T00:00:00.5+01:00', '1h30m', '-5', '1e300', 'forward']),
    ),
    [ParameterError],
    (pairs) => {
      const parameters = new URLSearchParams(pairs)
      const range = readTimeRange(parameters, 1_700_000_000_000_000_000n)
      readLimit(parameters)
      readDirection(parameters)
      readInterval(parameters)
      readStep(parameters, range)
    },
  ),
  target(
    'times of queries',
    textLike(['1700000000', '1.5', '17e3', '2026-01-01T00:00:00.5+01:00']),
    [ParameterError],
    parseTime,
  ),
  target(
    'who asks, and for whom',
    fc.tuple(textLike(['Bearer t', 'Basic dTpw']), textLike(['a|b', "x.y!-_*'()"])),
    [AccessError],
    ([authorization, tenant]) => {
      parseAuthorization(authorization)
      access.grant({ authorization, 'x-scope-orgid': tenant }, forRead)
    },
  ),
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
