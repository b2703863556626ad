/** What comes over HTTP and syslog. */
import { deflateRawSync, gzipSync } from 'node:zlib'
import { decompressBody } from '@tributary/aggregator/push/body.ts'
import { readJsonPush } from '@tributary/aggregator/push/json.ts'
import { readPushRequest } from '@tributary/aggregator/push/protobuf.ts'
import { PushMemory } from '@tributary/aggregator/push/push-memory.ts'
import { encodePush, isPush, readPush } from '@tributary/aggregator/push/push-message.ts'
import { PushError } from '@tributary/aggregator/push/push-request.ts'
import { LabelsError, parseStreamLabels } from '@tributary/aggregator/push/stream-labels.ts'
import { encodePushRequest } from '@tributary/aggregator/push/test-push.ts'
import { FrameError, FrameSplitter } from '@tributary/aggregator/syslog/frame.ts'
import { streamsOf } from '@tributary/aggregator/syslog/streams.ts'
import { parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import fc from 'fast-check'
import { compressSync } from 'snappy'
import type { Target } from '../fuzz.ts'
import { bytesLike, textLike } from '../inputs.ts'
import { push, target } from './target.ts'

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

export const pushTargets: readonly Target[] = [
  target('pushes in the write-ahead log', bytesLike([encodePush(push)]), [MsgpackError], (bytes) => {
    const parsed = parseMessage(bytes)
    if (parsed !== undefined && isPush(parsed.options)) readPush(parsed.entries)
  }),
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
      const body = await decompressBody(bytes, encoding as 'snappy', 1 << 13, new PushMemory(0).hold())
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
]
