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
  /** Too many requests at a time, or a quota is used up. */
  'busy',
  /** Its merges are behind the inserts. */
  'too_many_parts',
  /** The replica takes nothing, as a rule because it lost Keeper. */
  'read_only',
  /** Keeper does not answer the store. */
  'keeper',
  /** Not enough replicas are there for what was asked, or it is not known whether they have it. */
  'quorum',
  /** The result or what had to be read is larger than the caller's limit. */
  'limit',
  /** The caller's own signal ended it. */
  'cancelled',
  /** The store can't do this, now or later: unknown table, wrong type, broken rows, wrong password. */
  'rejected',
] as const
export type StoreErrorCode = (typeof storeErrorCodes)[number]

interface Treatment {
  /** Whether the same request can succeed later, unchanged. */
  readonly retryable: boolean
  /** Whether another address of the same store may do it now. */
  readonly elsewhere: boolean
  /** The store works, and asks for less: waiting for it is all that can be done. */
  readonly backPressure: boolean
  /** How long to wait before an insert is repeated: the first time, and at most, milliseconds. */
  readonly wait: readonly [first: number, longest: number]
}

const treatments: Readonly<Record<StoreErrorCode, Treatment>> = {
  // The embedded engine is back soon.
  unavailable: { retryable: true, elsewhere: true, backPressure: false, wait: [100, 5_000] },
  full: { retryable: true, elsewhere: false, backPressure: true, wait: [1_000, 30_000] },
  memory: { retryable: true, elsewhere: false, backPressure: true, wait: [500, 30_000] },
  timeout: { retryable: true, elsewhere: false, backPressure: false, wait: [500, 30_000] },
  busy: { retryable: true, elsewhere: true, backPressure: true, wait: [250, 15_000] },
  // Each insert makes more parts: merges need time, and a block that waits grows.
  too_many_parts: { retryable: true, elsewhere: false, backPressure: true, wait: [1_000, 60_000] },
  read_only: { retryable: true, elsewhere: true, backPressure: true, wait: [500, 15_000] },
  keeper: { retryable: true, elsewhere: true, backPressure: true, wait: [500, 15_000] },
  quorum: { retryable: true, elsewhere: true, backPressure: true, wait: [500, 15_000] },
  limit: { retryable: false, elsewhere: false, backPressure: false, wait: [100, 5_000] },
  cancelled: { retryable: false, elsewhere: false, backPressure: false, wait: [100, 5_000] },
  // Somebody may mend it: a grant, a table, the program.
  rejected: { retryable: false, elsewhere: false, backPressure: false, wait: [500, 30_000] },
}

export function treatmentOf(code: StoreErrorCode): Treatment {
  return treatments[code]
}

/**
 * How long to wait before an insert is repeated, milliseconds: doubled with each failure, with some chance in it, so that aggregators
 * that failed together don't come back together.
 *
 * @param failures in a row, from 1
 * @param chance from 0 to 1
 */
export function retryDelay(code: StoreErrorCode, failures: number, chance = Math.random()): number {
  const [first, longest] = treatments[code].wait
  return Math.min(longest, first * 2 ** Math.min(failures - 1, 20)) * (0.75 + chance / 4)
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
    this.retryable = treatments[code].retryable
    this.clickhouseCode = clickhouseCode
  }
}

/** The store repeats values in its messages, however long they are. */
const maxMessage = 2_000

const codesByNumber: readonly (readonly [StoreErrorCode, readonly number[]])[] = [
  ['full', [243]],
  ['memory', [241, 173]],
  ['timeout', [159, 160]],
  // Also: deadlock avoided, a pool of threads is full, another ALTER runs.
  ['busy', [201, 202, 439, 473, 517, 745]],
  ['too_many_parts', [252]],
  ['read_only', [242]],
  ['keeper', [225, 244, 999]],
  ['quorum', [254, 285, 286, 289, 319, 369, 415]],
  ['limit', [158, 307, 396]],
  ['cancelled', [394, 735]],
  // Names, sockets, shards that can't be reached, a server that shuts down.
  ['unavailable', [198, 209, 210, 236, 279, 425]],
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
