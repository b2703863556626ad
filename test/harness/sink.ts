/**
 * A stand-in for the aggregator with a ledger in memory: takes the collector's chunks over a real socket, acknowledges, trims and
 * answers ledger queries. For tests of the collector alone and for its bench; it keeps nothing durable.
 */
import net from 'node:net'
import { type ChunkHeader, chunkHeader, encodeAck, ledgerQuery } from '@tributary/protocol/chunk.ts'
import { decompress } from '@tributary/protocol/compression.ts'
import { chunkOf, type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { ValueSplitter } from '@tributary/protocol/msgpack.ts'
import { addRange, type ByteRange, type ByteRanges, uncovered } from '@tributary/protocol/ranges.ts'
import { RecordScanner } from '@tributary/protocol/records.ts'

export interface SunkRecord {
  readonly offset: number
  readonly stream: number
  readonly flags: number
  readonly line: string
}

export interface SunkSource {
  accepted: ByteRanges
  header: ChunkHeader
  readonly records: SunkRecord[]
  readonly outcomes: { range: readonly [number, number]; outcome: string }[]
}

/** An application's message that the collector passed on. */
export interface SunkMessage {
  readonly message: ForwardMessage
  readonly header: ChunkHeader
}

export interface SinkOptions {
  /** Name of its ledger. Without one it tells none, as an older aggregator. */
  readonly ledger?: string
  /** What all sinks of one shared ledger have accepted. Without it the ledger is its own. */
  readonly shared?: Map<string, SunkSource>
  /** Keep the records' lines; without it only counts. */
  readonly keep?: boolean
  /** Called for each record that was not there before; `line` is valid until it returns. */
  each?(line: Buffer): void
  /** Called for each chunk before anything is done: `drop` forgets it and its ack, `mute` books it but sends no ack, `reset` cuts the connection. */
  fault?(chunks: number): 'drop' | 'mute' | 'reset' | undefined
}

export class Sink {
  readonly sources: Map<string, SunkSource>
  /** Each once, in the order of arrival. */
  readonly relayed: SunkMessage[] = []
  readonly #options: SinkOptions
  readonly #server = net.createServer((socket) => this.#serve(socket))
  readonly #sockets = new Set<net.Socket>()
  #paused = false
  /** Connections that were made to it so far. */
  accepted = 0
  queries = 0
  chunks = 0
  records = 0
  bytes = 0
  duplicates = 0

  private constructor(options: SinkOptions) {
    this.#options = options
    this.sources = options.shared ?? new Map()
  }

  static async listen(options: SinkOptions = {}, port = 0, host = '127.0.0.1'): Promise<Sink> {
    const sink = new Sink(options)
    await new Promise<void>((resolve, reject) => {
      sink.#server.once('error', reject)
      sink.#server.listen(port, host, resolve)
    })
    return sink
  }

  get address(): string {
    const { address } = this.#server.address() as net.AddressInfo
    return `${address}:${this.port}`
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** All lines, in their order within each source, whatever order their chunks came in; sources by path. */
  lines(): string[] {
    const sources = [...this.sources.values()].sort((a, b) => (a.header.path < b.header.path ? -1 : 1))
    return sources.flatMap(({ records }) => records.toSorted((a, b) => a.offset - b.offset).map(({ line }) => line))
  }

  /** Forgets all that was accepted, as an aggregator with a new disk would. */
  forget(): void {
    this.sources.clear()
  }

  /** Reads nothing any more, and lets the connections be: a process that hangs. */
  pause(paused = true): void {
    this.#paused = paused
    for (const socket of this.#sockets) paused ? socket.pause() : socket.resume()
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(socket: net.Socket): void {
    this.accepted++
    const splitter = new ValueSplitter(64 << 20)
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => undefined)
    if (this.#paused) socket.pause()
    socket.on('data', (data) => {
      for (const bytes of splitter.push(data as Buffer)) this.#message(socket, bytes)
    })
  }

  #message(socket: net.Socket, bytes: Buffer): void {
    const message = parseMessage(bytes)
    if (message === undefined) return
    const ack = chunkOf(message)!
    const asked = ledgerQuery(message.options)
    if (asked) {
      const { ledger, shared } = this.#options
      if (asked.length > 0) this.queries++
      const ranges = asked.map(({ source }) => this.sources.get(source.toString('hex'))?.accepted ?? [])
      socket.write(encodeAck({ ack, ranges, ...(ledger ? { ledger, shared: shared !== undefined } : {}) }))
      return
    }
    this.chunks++
    const fault = this.#options.fault?.(this.chunks)
    if (fault === 'reset') socket.resetAndDestroy()
    if (fault === 'reset' || fault === 'drop') return
    const header = chunkHeader(message.options)
    if (header?.relayed) this.#bookRelayed(header, message)
    else if (header) this.#book(header, message.entries)
    else this.records += Number((message.options as { size?: number }).size ?? 0)
    if (fault !== 'mute') socket.write(encodeAck({ ack }))
  }

  #book(header: ChunkHeader, entries: Buffer): void {
    this.bytes += header.range[1] - header.range[0]
    const parts = partsOf(header).map((part) => ({ ...part, ...this.#accept(header, part) }))
    if (parts.every(({ fresh }) => fresh.length === 0)) this.duplicates++
    const { outcome } = header
    if (outcome) {
      for (const { source, fresh } of parts)
        for (const range of fresh) source.outcomes.push({ range, outcome: `${outcome.kind}:${outcome.reason}` })
      return
    }
    const { keep, each } = this.#options
    if (!keep && !each) return
    const raw = decompress(entries, 64 << 20)
    const scanner = new RecordScanner(raw)
    while (scanner.next()) {
      const { stream, flags, lineStart, lineEnd } = scanner
      const { source, fresh, from } = parts.findLast((part) => scanner.offset >= part.from)!
      const offset = scanner.offset - from
      if (!fresh.some(([first, end]) => offset >= first && offset < end)) continue
      this.records++
      each?.(raw.subarray(lineStart, lineEnd))
      if (keep) source.records.push({ offset, stream, flags, line: raw.toString('latin1', lineStart, lineEnd) })
    }
  }

  #bookRelayed(header: ChunkHeader, message: ForwardMessage): void {
    const { fresh } = this.#accept(header, { key: header.source.toString('hex'), range: header.range, from: 0 })
    if (fresh.length === 0) this.duplicates++
    else this.relayed.push({ message, header })
  }

  #accept(header: ChunkHeader, { key, range }: Part): { source: SunkSource; fresh: ByteRanges } {
    const source: SunkSource = this.sources.get(key) ?? { accepted: [], header, records: [], outcomes: [] }
    this.sources.set(key, source)
    if (key === header.source.toString('hex')) source.header = header
    const fresh = uncovered(source.accepted, range)
    source.accepted = addRange(source.accepted, range)
    return { source, fresh }
  }
}

/** What a chunk accounts for of one source. */
interface Part {
  readonly key: string
  readonly range: ByteRange
  /** Offsets from here on are of this source, whose first byte is here. */
  readonly from: number
}

function partsOf({ source, range, seam }: ChunkHeader): Part[] {
  const first = { key: source.toString('hex'), range, from: 0 }
  if (seam === undefined) return [first]
  return [
    { ...first, range: [range[0], seam.at] },
    { key: seam.source.toString('hex'), range: [0, range[1] - seam.at], from: seam.at },
  ]
}
