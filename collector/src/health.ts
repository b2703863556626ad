/** Health is progress, not existence: whether what is unread gets less while the aggregator answers. Pure. */
export interface Progress {
  /** All aggregators are connected. */
  readonly connected: boolean
  readonly unreadBytes: number
  /** Log bytes acknowledged since the start. */
  readonly ackedBytes: number
}

export interface Health {
  readonly healthy: boolean
  /** Why not. */
  readonly reason?: string
}

/** This long without an acknowledged byte, while there are bytes to read and an aggregator to send them to, is no progress. */
const stallMs = 60_000

export class HealthCheck {
  #ackedBytes = -1
  #movedAt = 0

  /** To be called every second or so; `now` in ms on any steady clock. */
  observe(progress: Progress, now: number): Health {
    const moved = progress.ackedBytes !== this.#ackedBytes || progress.unreadBytes === 0 || !progress.connected
    if (moved) {
      this.#ackedBytes = progress.ackedBytes
      this.#movedAt = now
    }
    const stalled = now - this.#movedAt
    if (stalled < stallMs) return { healthy: true }
    const seconds = Math.round(stalled / 1000)
    return {
      healthy: false,
      reason: `nothing was acknowledged for ${seconds} s although ${progress.unreadBytes} bytes are unread and the aggregator is connected`,
    }
  }
}
