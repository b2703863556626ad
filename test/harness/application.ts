/** An application that logs over Forward as a careful logger does: it keeps what was not acknowledged and sends it again, the same bytes. */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAck } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { decode, EventTime, encode, ValueSplitter } from '@tributary/protocol/msgpack.ts'

/** How it packs its records: one message each, or many in one. */
export type ApplicationMode = 'message' | 'forward' | 'packed' | 'gzip' | 'zstd'

export interface ApplicationOptions {
  /** Its tag, and the first word of its lines. */
  readonly name: string
  readonly mode: ApplicationMode
  readonly port: number
  /** Messages that may be unacknowledged at a time. */
  readonly window: number
  /** Records of a message; one in mode `message`. */
  readonly batch: number
  /** Milliseconds between two messages. */
  readonly pause: number
}

/** Records of one message differ in time by a microsecond; all of one application are later than those before. */
const stepNs = 1000

export class Application {
  readonly name: string
  readonly #options: ApplicationOptions
  readonly #unacked = new Map<string, { readonly message: Buffer; readonly records: number }>()
  readonly #startedAt = Math.floor(Date.now() / 1000)
  #socket: net.Socket | undefined
  #stopping = false
  #room = Promise.withResolvers<void>()
  /** Records written so far: their numbers are 0 to `written` - 1. */
  written = 0
  connections = 0
  readonly #running: Promise<unknown>

  constructor(options: ApplicationOptions) {
    this.name = options.name
    this.#options = options
    this.#running = Promise.all([this.#connect(), this.#write()])
  }

  /** Records sent, maybe, and not acknowledged. */
  get unacked(): number {
    return this.#unacked.values().reduce((sum, { records }) => sum + records, 0)
  }

  /** Writes nothing new; resolves when all is acknowledged. */
  async finish(): Promise<void> {
    this.#stopping = true
    await this.#running
    this.#socket?.destroy()
  }

  async #write(): Promise<void> {
    const { window, batch, pause, mode } = this.#options
    while (!this.#stopping) {
      if (this.#unacked.size >= window) await this.#room.promise
      const records = mode === 'message' ? 1 : batch
      const chunk = `${this.name}:${this.written}`
      const message = this.#encode(chunk, records)
      this.written += records
      this.#unacked.set(chunk, { message, records })
      this.#socket?.write(message)
      await sleep(pause)
    }
  }

  async #connect(): Promise<void> {
    while (!this.#stopping || this.#unacked.size > 0) {
      const socket = net.connect(this.#options.port, '127.0.0.1')
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.on('error', () => undefined)
      socket.once('connect', () => {
        this.connections++
        this.#socket = socket
        for (const { message } of this.#unacked.values()) socket.write(message)
      })
      const splitter = new ValueSplitter(1 << 20)
      socket.on('data', (data) => {
        for (const value of splitter.push(data)) this.#acknowledge(parseAck(decode(value)).ack, socket)
      })
      await closed
      this.#socket = undefined
      await sleep(50)
    }
  }

  #acknowledge(chunk: string, socket: net.Socket): void {
    this.#unacked.delete(chunk)
    this.#room.resolve()
    this.#room = Promise.withResolvers()
    if (this.#stopping && this.#unacked.size === 0) socket.destroy()
  }

  #encode(chunk: string, count: number): Buffer {
    const { mode, name } = this.#options
    const entries = Array.from({ length: count }, (_, i) => this.#entry(this.written + i))
    if (mode === 'message') return encode([name, ...entries[0]!, { chunk }])
    if (mode === 'forward') return encode([name, entries, { chunk, size: count }])
    const packed = Buffer.concat(entries.map((entry) => encode(entry)))
    const compressed = mode === 'packed' ? packed : Buffer.from(compress(packed, mode))
    return encode([name, compressed, { chunk, size: count, compressed: mode === 'packed' ? 'text' : mode }])
  }

  #entry(seq: number): [EventTime, { log: string }] {
    const ns = seq * stepNs
    const time = new EventTime(this.#startedAt + Math.floor(ns / 1e9), ns % 1e9)
    return [time, { log: lineOf(this.name, seq) }]
  }
}

/** Long enough that some thousand records are some hundred kilobytes. */
const padding = 'abcdefghij'.repeat(10)

function lineOf(name: string, seq: number): string {
  return `${name} ${seq} ${padding}`
}

export interface ApplicationVerdict {
  readonly expected: number
  readonly missing: number
  readonly doubled: number
  /** Lines that nobody wrote. */
  readonly foreign: number
}

/** Compares what was read back of one application with what it wrote. */
export function judgeApplication({ name, written }: Application, lines: Iterable<string>): ApplicationVerdict {
  const seen = new Uint32Array(written)
  let foreign = 0
  for (const line of lines) {
    const seq = Number(line.split(' ')[1])
    if (line === lineOf(name, seq) && seq < written) seen[seq]!++
    else foreign++
  }
  const missing = seen.filter((count) => count === 0).length
  const doubled = seen.reduce((sum, count) => sum + Math.max(0, count - 1), 0)
  return { expected: written, missing, doubled, foreign }
}
