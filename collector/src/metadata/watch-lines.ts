/** The events of a watch: one JSON object per line. Pure. */
import { ApiError, statusError } from './api-error.ts'

/** More than an API server stores of one object. */
const maxLineBytes = 8 * 1024 * 1024

export type WatchEvent =
  | { readonly type: 'seen' | 'gone'; readonly object: unknown; readonly version: string }
  /** Only says how far the watch is. */
  | { readonly type: 'bookmark'; readonly version: string }

/** Throws {@link ApiError} for what is no event, and for an event that is an error. */
export class WatchLines {
  readonly #onEvent: (event: WatchEvent) => void
  #rest: Buffer[] = []
  #bytes = 0

  constructor(onEvent: (event: WatchEvent) => void) {
    this.#onEvent = onEvent
  }

  push(piece: Buffer): void {
    let start = 0
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
      const line =
        this.#rest.length === 0
          ? piece.subarray(start, end)
          : Buffer.concat([...this.#rest, piece.subarray(start, end)])
      this.#rest = []
      this.#bytes = 0
      start = end + 1
      if (line.length > 0) this.#onEvent(parseEvent(line.toString()))
    }
    if (start === piece.length) return
    this.#rest.push(Buffer.from(piece.subarray(start)))
    this.#bytes += piece.length - start
    if (this.#bytes > maxLineBytes) throw new ApiError('garbage', `an event of more than ${maxLineBytes} bytes`)
  }
}

const types: Readonly<Record<string, WatchEvent['type']>> = {
  ADDED: 'seen',
  MODIFIED: 'seen',
  DELETED: 'gone',
  BOOKMARK: 'bookmark',
}

function parseEvent(line: string): WatchEvent {
  let event: { readonly type?: unknown; readonly object?: { readonly code?: unknown; readonly metadata?: unknown } }
  try {
    event = JSON.parse(line) ?? {}
  } catch (error) {
    throw new ApiError('garbage', `a line of the watch is not JSON: ${JSON.stringify(line.slice(0, 100))}`, {
      cause: error,
    })
  }
  const { object } = event
  if (event.type === 'ERROR') throw statusError(Number(object?.code ?? 500), JSON.stringify(object ?? {}), undefined)
  const type = typeof event.type === 'string' && Object.hasOwn(types, event.type) ? types[event.type] : undefined
  const version = (object?.metadata as { resourceVersion?: unknown } | undefined)?.resourceVersion
  if (type === undefined || typeof version !== 'string' || version === '')
    throw new ApiError('garbage', `a line of the watch is no event: ${JSON.stringify(line.slice(0, 100))}`)
  return type === 'bookmark' ? { type, version } : { type, object, version }
}
