/** Those who look at what the filters do to the lines of one pod. Costs one comparison per chunk while there are none. */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { RecordTrace, Tap, TapSource } from './trace.ts'

export interface TapFilter {
  readonly namespace: string
  readonly pod: string
  /** Undefined for all of the pod. */
  readonly container: string | undefined
}

/** Taps at a time: each costs what the filters cost a few times over. */
export const maxTaps = 4
/** Records a second that one tap shows at most. */
const maxRate = 200
/** Records that wait to be taken, per tap. */
const maxWaiting = 1000

export class Taps implements TapSource {
  readonly #open = new Set<OpenTap>()
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * Undefined when there are {@link maxTaps}.
   *
   * @param raw with secrets that filters redact
   */
  open(filter: TapFilter, raw: boolean): OpenTap | undefined {
    if (this.#open.size === maxTaps) return undefined
    const tap = new OpenTap(filter, raw, this.#now, () => this.#open.delete(tap))
    this.#open.add(tap)
    return tap
  }

  find(stream: StreamMetadata): Tap | undefined {
    if (this.#open.size === 0) return undefined
    const matching = [...this.#open].filter((tap) => tap.matches(stream))
    return matching.length <= 1 ? matching[0] : all(matching)
  }
}

function all(taps: readonly Tap[]): Tap {
  let wanting: readonly Tap[] = []
  return {
    begin() {
      for (const tap of taps) tap.begin()
    },
    wants() {
      wanting = taps.filter((tap) => tap.wants())
      return wanting.length > 0
    },
    show(trace, stream, mask) {
      for (const tap of wanting) tap.show(trace, stream, mask)
    },
  }
}

/** What was shown of one record, and how many before it were not. */
export interface TapEvent {
  readonly stream: StreamMetadata
  readonly trace: RecordTrace
  /** Records that were not shown since the last one, as they came too fast. */
  readonly skipped: number
}

export class OpenTap implements Tap {
  readonly #filter: TapFilter
  readonly #raw: boolean
  readonly #now: () => number
  readonly #close: () => void
  #waiting: TapEvent[] = []
  #allowed = maxRate
  #filledAt: number
  #skipped = 0
  #wake: () => void = () => undefined

  constructor(filter: TapFilter, raw: boolean, now: () => number, close: () => void) {
    this.#filter = filter
    this.#raw = raw
    this.#now = now
    this.#filledAt = now()
    this.#close = close
  }

  matches({ labels }: StreamMetadata): boolean {
    const { namespace, pod, container } = this.#filter
    return (
      labels['namespace'] === namespace &&
      labels['pod'] === pod &&
      (container === undefined || labels['container'] === container)
    )
  }

  begin(): void {
    const now = this.#now()
    this.#allowed = Math.min(maxRate, this.#allowed + ((now - this.#filledAt) / 1000) * maxRate)
    this.#filledAt = now
  }

  wants(): boolean {
    if (this.#allowed >= 1 && this.#waiting.length < maxWaiting) return true
    this.#skipped++
    return false
  }

  show(trace: RecordTrace, stream: StreamMetadata, mask: (trace: RecordTrace) => RecordTrace): void {
    this.#allowed--
    this.#waiting.push({ stream, trace: this.#raw ? trace : mask(trace), skipped: this.#skipped })
    this.#skipped = 0
    this.#wake()
  }

  /** What there is to show, as it comes. Closes the tap when whoever takes it stops, or `signal` is aborted. */
  async *events(signal: AbortSignal): AsyncGenerator<TapEvent[]> {
    signal.addEventListener('abort', () => this.#wake())
    try {
      while (!signal.aborted) {
        if (this.#waiting.length === 0)
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        const events = this.#waiting
        this.#waiting = []
        if (events.length > 0) yield events
      }
    } finally {
      this.#close()
    }
  }
}
