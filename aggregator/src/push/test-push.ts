/** For tests: a PushRequest in protobuf, written with the library's writer. */
import { BinaryWriter } from '@bufbuild/protobuf/wire'

export interface TestEntry {
  readonly time: bigint
  readonly line: string | Buffer
  readonly metadata?: Readonly<Record<string, string>>
}

export interface TestStream {
  readonly labels: string
  readonly entries: readonly TestEntry[]
}

export function encodePushRequest(streams: readonly TestStream[]): Buffer {
  const writer = new BinaryWriter()
  for (const { labels, entries } of streams) {
    writer.tag(1, 2).fork().tag(1, 2).string(labels)
    for (const { time, line, metadata } of entries) {
      writer.tag(2, 2).fork()
      writer.tag(1, 2).fork()
      writer.tag(1, 0).int64(time / 1_000_000_000n)
      writer.tag(2, 0).int32(Number(time % 1_000_000_000n))
      writer.join()
      writer.tag(2, 2).bytes(Buffer.from(line as string))
      for (const [name, value] of Object.entries(metadata ?? {}))
        writer.tag(3, 2).fork().tag(1, 2).string(name).tag(2, 2).string(value).join()
      writer.join()
    }
    // What Loki's own clients send besides: the hash of the labels.
    writer.tag(3, 0).uint64(7n)
    writer.join()
  }
  return Buffer.from(writer.finish())
}
