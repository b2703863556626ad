/** What becomes of a push: decompressed, read, checked, and acknowledged once it is durable in the write-ahead log. */
import {
  type Accepted,
  acceptPush,
  type Discarded,
  type DiscardReason,
  type Limiter,
  type OfferedStream,
} from './accept.ts'
import { bodyEncoding, decompressBody, decompressedSize } from './body.ts'
import { readJsonPush } from './json.ts'
import { readPushRequest } from './protobuf.ts'
import { encodePush } from './push-message.ts'
import { PushError, type PushProblem } from './push-request.ts'
import { Repeats } from './repeats.ts'
import { labelsOfObject, parseStreamLabels, streamName, textValue } from './stream-labels.ts'

export interface PushBody {
  readonly bytes: Buffer
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

const busy = () => new PushError(503, 'busy', 'too many pushes are under way, try again')
const noStream = () => new PushError(422, 'body', 'error at least one valid stream is required for ingestion')
const stalled = () => new PushError(503, 'stalled', 'the write-ahead log takes no more, try again')

export class Pusher {
  readonly #options: PusherOptions
  readonly #repeats = new Repeats<PushOutcome>()
  #held = 0

  constructor(options: PusherOptions) {
    this.#options = options
  }

  /** Bytes of pushes that are not durable yet. */
  get heldBytes(): number {
    return this.#held
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
    const { bufferBytes, full, maxDecompressedBytes, onRepeat, patience } = this.#options
    if (full()) throw stalled()
    const format = isJson(body.contentType) ? 'json' : 'protobuf'
    const encoding = bodyEncoding(body.contentEncoding, format === 'json')
    // Decompressed, and once more as it goes to the log.
    const held = body.bytes.length + 2 * decompressedSize(body.bytes, encoding, maxDecompressedBytes)
    if (this.#held > 0 && this.#held + held > bufferBytes) throw busy()
    this.#held += held
    let kept = false
    try {
      const bytes = await decompressBody(body.bytes, encoding, maxDecompressedBytes)
      let first = false
      const outcome = this.#repeats.once([tenant, format, bytes], nowMs, () => {
        first = true
        return this.#store(format, bytes, tenant, nowMs)
      })
      if (!first) onRepeat()
      kept = first
      if (kept) outcome.catch(() => {}).finally(() => (this.#held -= held))
      return await within(outcome, patience)
    } finally {
      if (!kept) this.#held -= held
    }
  }

  async #store(format: PushFormat, bytes: Buffer, tenant: string, nowMs: number): Promise<PushOutcome> {
    const { append, limiter, onTaken } = this.#options
    const offered = format === 'json' ? offeredJson(bytes) : offeredProtobuf(bytes)
    if (offered.length === 0) throw noStream()
    const accepted = acceptPush(offered, tenant, limiter, nowMs)
    const { discarded, entries, refusal } = accepted
    const outcome = { format, entries, bytes: accepted.bytes, discarded, problem: problemText(accepted) }
    if (entries > 0) await append(encodePush(accepted.streams), tenant)
    onTaken(outcome)
    // The same may be taken another time.
    if (refusal?.statusCode === 429) throw refusal
    return outcome
  }
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
    name: nameOf(labels),
    labels: () => labelsOfObject(labels),
    entries,
  }))

/** Loki names it as it would be in a selector. */
const nameOf = (labels: Readonly<Record<string, unknown>>): string =>
  streamName(Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, textValue(value)])))

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
