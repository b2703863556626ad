/** Why the store did not do what it was asked to, in a closed list, and whether asking again can help. */
import { ClickHouseError } from '@clickhouse/client'

export const storeErrorCodes = [
  /** Not reached, or it went away: it is starting, was killed, or the network is cut. */
  'unavailable',
  /** Its disk is full. It goes on by itself when space is freed. */
  'full',
  /** The statement, or all of them together, needed more memory than allowed. */
  'memory',
  /** It took longer than allowed. */
  'timeout',
  /** Too much at a time: requests, or parts not merged yet. */
  'busy',
  /** The result or what had to be read is larger than the caller's limit. */
  'limit',
  /** The caller's own signal ended it. */
  'cancelled',
  /** The store can't do this, now or later: unknown table, wrong type, broken rows, wrong password. */
  'rejected',
] as const
export type StoreErrorCode = (typeof storeErrorCodes)[number]

/** Whether the same request can succeed later, unchanged. */
const retryable: Readonly<Record<StoreErrorCode, boolean>> = {
  unavailable: true,
  full: true,
  memory: true,
  timeout: true,
  busy: true,
  limit: false,
  cancelled: false,
  rejected: false,
}

export class StoreError extends Error {
  readonly code: StoreErrorCode
  readonly retryable: boolean
  /** ClickHouse's number of the error, when it was the store that answered. */
  readonly clickhouseCode: number | undefined

  constructor(code: StoreErrorCode, message: string, clickhouseCode?: number, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
    this.retryable = retryable[code]
    this.clickhouseCode = clickhouseCode
  }
}

/** The store repeats values in its messages, however long they are. */
const maxMessage = 2_000

const codesByNumber: readonly (readonly [StoreErrorCode, readonly number[]])[] = [
  ['full', [243]],
  ['memory', [241, 173]],
  ['timeout', [159, 160]],
  ['busy', [202, 252, 745]],
  ['limit', [158, 307, 396]],
  ['cancelled', [394, 735]],
  // Sockets, Keeper, read-only replicas, a server that shuts down, an insert of unknown outcome.
  ['unavailable', [198, 209, 210, 225, 236, 242, 279, 285, 319, 425, 999]],
]

/** What a failed request of the client means. `aborted` is whether the caller's signal had fired. */
export function storeErrorFrom(error: unknown, aborted: boolean): StoreError {
  if (error instanceof StoreError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (aborted) return new StoreError('cancelled', 'the request was cancelled', undefined, { cause: error })
  if (!(error instanceof ClickHouseError)) {
    // The client has types for what the store said only; all else is the way there.
    return new StoreError('unavailable', `the store does not answer: ${message}`, undefined, { cause: error })
  }
  const number = Number(error.code)
  const full = message.includes('No space left on device')
  const code = full ? 'full' : (codesByNumber.find(([, numbers]) => numbers.includes(number))?.[0] ?? 'rejected')
  return new StoreError(code, message.trim().slice(0, maxMessage), number, { cause: error })
}
