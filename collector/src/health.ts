/** Health is progress, not existence: whether what is unread gets less while the aggregator is connected. Pure. */
export interface Progress {
  /** An aggregator can be sent to. */
  readonly connected: boolean
  /** Bytes that could be read now: no beginning of a line whose end is not written yet, nothing of a file that can't be read. */
  readonly readableBytes: number
  /** Chunks that wait for their acknowledgement. */
  readonly waitingChunks: number
  /** Chunks, and messages of applications, acknowledged since the start. */
  readonly acked: number
  /** The log with most to read, for the message. */
  readonly worst?: string | undefined
}

export interface Health {
  readonly healthy: boolean
  /** Why not. */
  readonly reason?: string
  /** What is wrong and no restart would mend. */
  readonly notice?: string
}

/** This long without an acknowledgement, while there is something to read or to acknowledge and an aggregator is connected, is no progress. */
const stallMs = 60_000
/** An aggregator out of reach for this long is away, and gets the whole time again when it is back. Shorter, a connection was made anew. */
const awayMs = 30_000
/**
 * Most that counts of the time between two looks, which are a second apart: a process that was throttled, stopped or suspended made no
 * progress then, and is not to blame for it.
 */
const maxStepMs = 5000

export class HealthCheck {
  #acked = -1
  #observedAt: number | undefined
  readonly #stallMs: number
  #stalledMs = 0
  #awayMs = 0

  constructor(limitMs = stallMs) {
    this.#stallMs = limitMs
  }

  /** To be called every second or so; `now` in ms on any steady clock. */
  observe(progress: Progress, now: number): Health {
    const step = Math.min(Math.max(now - (this.#observedAt ?? now), 0), maxStepMs)
    this.#observedAt = now
    this.#count(progress, step)
    if (this.#stalledMs < this.#stallMs) return { healthy: true }
    return { healthy: false, reason: reasonOf(progress, Math.round(this.#stalledMs / 1000)) }
  }

  #count({ connected, acked, readableBytes, waitingChunks }: Progress, step: number): void {
    const moved = acked !== this.#acked || (readableBytes === 0 && waitingChunks === 0)
    this.#acked = acked
    this.#awayMs = connected ? 0 : this.#awayMs + step
    if (moved || this.#awayMs >= awayMs) this.#stalledMs = 0
    else if (connected) this.#stalledMs += step
  }
}

function reasonOf({ readableBytes, waitingChunks, worst }: Progress, seconds: number): string {
  const waiting =
    waitingChunks === 0
      ? ''
      : `, ${waitingChunks} ${waitingChunks === 1 ? 'chunk waits' : 'chunks wait'} for its acknowledgement`
  const most = worst === undefined || readableBytes === 0 ? '' : `, most of it in ${worst}`
  return `nothing was acknowledged for ${seconds} s although the aggregator is connected${waiting}; ${readableBytes} bytes are unread${most}; /why tells more`
}
