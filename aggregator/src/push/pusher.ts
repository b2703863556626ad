/** What becomes of a push: received, decompressed, read, checked, and acknowledged once it is durable in the write-ahead log. */
import type { Readable } from 'node:stream'
import {
  type Accepted,
  acceptPush,
  type Discarded,
  type DiscardReason,
  type Limiter,
  type OfferedStream,
} from './accept.ts'
import { bodyEncoding, decompressBody, receiveBody } from './body.ts'
import { readJsonPush } from './json.ts'
import { readPushRequest } from './protobuf.ts'
import { type HeldMemory, PushMemory } from './push-memory.ts'
import { encodePush } from './push-message.ts'
import { PushError, type PushProblem } from './push-request.ts'
import { Repeats } from './repeats.ts'
import { labelsOfObject, nameOfObject, parseStreamLabels } from './stream-labels.ts'

/** A body that is in memory. Whoever has it gives its memory back, or hands it on. */
export interface ReceivedBody {
  readonly bytes: Buffer
  readonly memory: HeldMemory
}

export interface PushBody extends ReceivedBody {
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
}

export type PushFormat = 'json' | 'protobuf'

export interface PushOutcome {
  readonly format: PushFormat
  readonly entries: number
  readonly bytes: number
  readonly discarded: ReadonlyMap<DiscardReason, Discarded>
  /** What was wrong with what was left out, worded as Loki words it; undefined when everything was taken. */
  readonly problem: string | undefined
}

export interface PusherOptions {
  readonly limiter: Limiter
  /** Resolves when the message is durable. */
  readonly append: (message: Buffer, tenant: string) => Promise<unknown>
  /** Whether the write-ahead log takes nothing for now. */
  readonly full: () => boolean
  /** Longest body, compressed or not, bytes. */
  readonly maxBodyBytes: number
  readonly maxDecompressedBytes: number
  /** Most bytes of pushes that are in memory at a time. */
  readonly bufferBytes: number
  /** How long a push waits to be durable, milliseconds. */
  readonly patience: number
  readonly onTaken: (outcome: PushOutcome) => void
  /** Nothing of it was taken. */
  readonly onRefused: (problem: PushProblem) => void
  /** A push that came again was answered as the first time. */
  readonly onRepeat: () => void
}

const noStream = () => new PushError(422, 'body', 'error at least one valid stream is required for ingestion')
const stalled = () => new PushError(503, 'stalled', 'the write-ahead log takes no more, try again')

export class Pusher {
  readonly #options: PusherOptions
  readonly #repeats = new Repeats<PushOutcome>()
  readonly #memory: PushMemory

  constructor(options: PusherOptions) {
    this.#options = options
    this.#memory = new PushMemory(options.bufferBytes)
  }

  /** Bytes of pushes that are not durable yet. */
  get heldBytes(): number {
    return this.#memory.heldBytes
  }

  /**
   * The body of a push as it comes, for {@link take}. What is left of it when it is refused is read and dropped.
   *
   * @param length as its head has it; undefined where that does not say
   * @throws PushError
   */
  async receive(body: Readable, length: number | undefined): Promise<ReceivedBody> {
    const memory = this.#memory.hold()
    try {
      return { memory, bytes: await receiveBody(body, length, this.#options.maxBodyBytes, memory) }
    } catch (error) {
      memory.release()
      if (error instanceof PushError) this.#options.onRefused(error.problem)
      throw error
    }
  }

  /** Throws {@link PushError} or LimitError; then nothing was taken, or whoever repeats it is told what became of it. */
  async take(body: PushBody, tenant: string, nowMs: number): Promise<PushOutcome> {
    try {
      return await this.#take(body, tenant, nowMs)
    } catch (error) {
      if (error instanceof PushError) this.#options.onRefused(error.problem)
      throw error
    }
  }

  async #take(body: PushBody, tenant: string, nowMs: number): Promise<PushOutcome> {
    const { full, maxDecompressedBytes, onRepeat, patience } = this.#options
    const { contentEncoding, contentType, memory } = body
    let kept = false
    try {
      if (full()) throw stalled()
      const format = isJson(contentType) ? 'json' : 'protobuf'
      const encoding = bodyEncoding(contentEncoding, format === 'json')
      const bytes = await decompressBody(body.bytes, encoding, maxDecompressedBytes, memory)
      let first = false
      const outcome = this.#repeats.once([tenant, format, bytes], nowMs, () => {
        first = true
        return this.#store(format, bytes, tenant, nowMs)
      })
      if (!first) onRepeat()
      kept = first
      if (kept) outcome.catch(() => {}).finally(() => memory.release())
      return await within(outcome, patience)
    } finally {
      if (!kept) memory.release()
    }
  }

  async #store(format: PushFormat, bytes: Buffer, tenant: string, nowMs: number): Promise<PushOutcome> {
    const { append, limiter, onTaken } = this.#options
    const offered = format === 'json' ? offeredJson(bytes) : offeredProtobuf(bytes)
    if (offered.length === 0) throw noStream()
    const accepted = acceptPush(offered, tenant, limiter, nowMs)
    const { discarded, entries, refusal } = accepted
    const outcome = { format, entries, bytes: accepted.bytes, discarded, problem: problemText(accepted) }
    if (entries > 0) await Promise.all(messagesOf(accepted.streams).map((message) => append(message, tenant)))
    onTaken(outcome)
    // The same may be taken another time.
    if (refusal?.statusCode === 429) throw refusal
    return outcome
  }
}

/** Of one message in the write-ahead log: blocks are made of whole messages, and what is known of their streams is in the loader's heap. */
const mostStreams = 10_000

function messagesOf(streams: Accepted['streams']): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < streams.length; at += mostStreams)
    messages.push(encodePush(streams.slice(at, at + mostStreams)))
  return messages
}

function isJson(contentType: string | undefined): boolean {
  return (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase() === 'application/json'
}

const offeredProtobuf = (bytes: Buffer): OfferedStream[] =>
  readPushRequest(bytes).map(({ labels, entries }) => ({
    name: labels,
    labels: () => parseStreamLabels(labels),
    entries,
  }))

const offeredJson = (bytes: Buffer): OfferedStream[] =>
  readJsonPush(bytes.toString()).map(({ labels, entries }) => ({
    name: nameOfObject(labels),
    labels: () => labelsOfObject(labels),
    entries,
  }))

/** As Loki puts errors together: how often each came, if there is more than one. */
function problemText({ problems }: Accepted): string | undefined {
  if (problems.size === 0) return undefined
  const all = [...problems]
  if (all.length === 1 && all[0]![1] === 1) return all[0]![0]
  return all.map(([text, count]) => `${count} errors like: ${text}`).join('; ')
}

/** Rejects as stalled when it takes too long; what was begun goes on. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(stalled()), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
