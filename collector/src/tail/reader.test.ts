import { crc32 } from 'node:zlib'
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import { RecordScanner } from '@tributary/protocol/records.ts'
import { fingerprintOf } from '@tributary/protocol/source.ts'
import { expect, test } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { tracesOf } from '../multiline/traces.ts'
import { Generation } from './generation.ts'
import type { LogFile } from './log-file.ts'
import { Reader } from './reader.ts'

const joinTimeout = 1000
const partialTimeout = 10_000
const java = tracesOf(['java'])

/** A log of a container, whose generations are in memory. */
class Log {
  readonly records: string[] = []
  readonly #reader: Reader

  constructor(maxLineBytes = 64 * 1024) {
    const courier = {
      deliver: async (_header: ChunkHeader, records: Buffer) => {
        const scanner = new RecordScanner(Buffer.from(records))
        while (scanner.next()) this.records.push(records.toString('utf8', scanner.lineStart, scanner.lineEnd))
      },
    }
    this.#reader = new Reader({
      logs: { maxLineBytes, partialTimeout } as never,
      multiline: { maxLines: 1000, timeout: joinTimeout } as never,
      courier: courier as never,
      metrics: new CollectorMetrics(),
    })
  }

  turn({ generation }: Written, next: Generation | undefined, now: number) {
    return this.#reader.turn(generation, next, now)
  }
}

class Written implements LogFile {
  readonly gzip = false
  readonly start = 0
  readonly generation: Generation
  #bytes: Buffer

  constructor(text: string, rotation: string) {
    this.#bytes = Buffer.from(text)
    const head = crc32(fingerprintOf(this.#bytes)!)
    this.generation = new Generation(
      {
        id: Buffer.alloc(16, text),
        name: { restart: 0, rotation, gzip: false, lasting: true },
        path: '',
        identity: { dev: 0, ino: 0, truncations: 0, head },
        format: 'cri',
        treatment: { stream: { labels: {}, metadata: {} }, detectors: [java, java], filter: undefined, partial: false },
        file: this,
        size: this.#bytes.length,
        modifiedMs: 0,
        checkpoint: undefined,
      },
      0,
    )
    this.generation.resume([])
  }

  append(text: string, now: number): void {
    this.#bytes = Buffer.concat([this.#bytes, Buffer.from(text)])
    this.generation.observe(this.#bytes.length, 0, now)
  }

  /** Nothing is written to it any more. */
  end(): this {
    this.generation.ended = true
    return this
  }

  stat(): never {
    throw new Error('not asked for')
  }

  read(into: Buffer, at: number, length: number, position: number): number {
    return this.#bytes.copy(into, at, position, Math.min(this.#bytes.length, position + length))
  }

  close(): void {}
}

const line = (text: string, stream = 'stdout', tag = 'F') => `2026-01-01T00:00:00.000000000Z ${stream} ${tag} ${text}\n`
const first = 'java.lang.IllegalStateException: '
const frame = '\tat shop.Cart.add(Cart.java:7)'

test('a trace that goes on before its time is over has as long again', async () => {
  const log = new Log()
  const file = new Written(line(first), '')
  expect(await log.turn(file, undefined, 0)).toBe('waiting')
  file.append(line(frame), 950)
  expect(await log.turn(file, undefined, 1010)).toBe('waiting')
  file.append(line(frame) + line('after'), 1900)
  expect(await log.turn(file, undefined, 1910)).toBe('read')
  expect(log.records).toEqual([`${first}\n${frame}\n${frame}`, 'after'])
})

test('when nothing could be read for long, a chunk ends between records all the same', async () => {
  const log = new Log()
  const file = new Written(line(first), '')
  expect(await log.turn(file, undefined, 0)).toBe('waiting')
  // Meanwhile no aggregator takes anything.
  const trace = [first, ...Array<string>(100).fill(frame)]
  file.append(
    Array<string>(100)
      .fill(trace.map((text) => line(text)).join(''))
      .join('') + line('after'),
    5000,
  )
  while (file.generation.unread > 0) expect(await log.turn(file, undefined, 5000)).toBe('read')
  expect(log.records).toEqual([first, ...Array<string>(100).fill(trace.join('\n')), 'after'])
})

test('a trace that nothing was added to for its time is sent', async () => {
  const log = new Log()
  const file = new Written(line(first) + line(frame), '')
  expect(await log.turn(file, undefined, 0)).toBe('waiting')
  expect(await log.turn(file, undefined, joinTimeout - 1)).toBe('waiting')
  expect(await log.turn(file, undefined, joinTimeout)).toBe('read')
  expect(log.records).toEqual([`${first}\n${frame}`])
})

test('traces of both streams that overlap without end are sent, though a line was seen of which a part was missing', async () => {
  const log = new Log()
  const file = new Written(line('before'), '')
  let now = 0
  for (let i = 0; log.records.length < 2 && now < 60_000; i++, now += 100) {
    const stream = i % 2 === 0 ? 'stderr' : 'stdout'
    if (i === 20) file.append(line('\tat shop.', stream, 'P'), now)
    else if (i === 22) file.append(line('Cart.add(Cart.java:7)', stream) + line(first, stream), now)
    else file.append((i < 2 ? '' : line(frame, stream)) + line(first, stream), now)
    await log.turn(file, undefined, now)
  }
  expect(now).toBeGreaterThan(2200)
  expect(now).toBeLessThanOrEqual(partialTimeout + 200)
})

test('where traces of both streams overlap through a rotated file, the one that goes on in the next file is whole', async () => {
  const log = new Log()
  const files = [
    new Written(line(first), '.20260101-000001').end(),
    // Whether more comes to it is not known yet.
    new Written(line(first, 'stderr') + line('out') + line(first), '.20260101-000002'),
    new Written(line(frame) + line('out'), ''),
  ] as const
  for (let now = 0; now <= 20_000; now += 100) {
    if (now === 5000) files[1].end()
    const at = files.findIndex(({ generation }) => generation.unread > 0)
    if (at !== -1) await log.turn(files[at]!, files[at]!.generation.ended ? files[at + 1]?.generation : undefined, now)
  }
  expect(log.records).toContain(`${first}\n${frame}`)
})

test('a next file is known by its beginning, however little of it there is room for', async () => {
  const log = new Log()
  const window = 256 * 1024
  const plain = line('e'.repeat(1000), 'stderr')
  const text = line(first) + plain.repeat(260)
  const last = window - 20 - (text.lastIndexOf('\n', window - 1200) + 1)
  const file = new Written(
    text.slice(0, window - 20 - last) + line('e'.repeat(last - line('', 'stderr').length), 'stderr'),
    '.20260101-000001',
  ).end()
  const next = new Written(line(frame) + line('after'), '.20260101-000002').end()
  const turns: string[] = []
  while (file.generation.unread > 0 && turns.length < 5) turns.push(await log.turn(file, next.generation, 0))
  expect(turns).not.toContain('successor replaced')
})

test('a trace whose rest lies far behind the beginning of the next file is whole at once', async () => {
  const log = new Log(128 * 1024)
  const file = new Written(line(first), '.20260101-000001').end()
  const flood = line('e'.repeat(1000), 'stderr').repeat(300)
  const next = new Written(flood + line(frame) + line('after'), '')
  expect(await log.turn(file, next.generation, 0)).toBe('read')
  expect(log.records).toContain(`${first}\n${frame}`)
})

test('behind what the ledger has of the next file nothing is waited for', async () => {
  const log = new Log()
  const file = new Written(line(first), '.20260101-000001').end()
  const next = new Written(line(frame) + line('after'), '')
  next.generation.resume([[line(frame).length, line(frame).length + line('after').length]])
  expect(await log.turn(file, next.generation, 0)).toBe('read')
  expect(log.records).toEqual([`${first}\n${frame}`])
})
