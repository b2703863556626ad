/** From what went wrong to the status and the plain text that Loki's clients expect. */
import { AccessError } from '../access/access-error.ts'
import { LimitError } from '../access/limit-error.ts'
import { LogqlError, QueryError } from '../logql/error.ts'
import { StoreError } from '../store/error.ts'
import { ParameterError } from './params.ts'

export interface Failure {
  readonly status: number
  readonly message: string
  /** Ours to look into, so it is logged. */
  readonly unexpected: boolean
}

const timeoutText =
  'request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed'

/** Reason of an abort because nobody waits for the answer. */
export class ClientGone extends Error {
  constructor() {
    super('the client closed the connection')
    this.name = 'ClientGone'
  }
}

/** Reason of an abort because the request took too long. */
export class TimedOut extends Error {
  constructor() {
    super(timeoutText)
    this.name = 'TimedOut'
  }
}

const badRegex = 427

/** ClickHouse's words where it is not the query itself that took too much, but all that runs beside it: alone it may well be answered. */
const ofAllTogether = /^(\(total\)|User) memory limit exceeded/

const tooMuch: Failure = {
  status: 400,
  message: 'the query needs more memory than it may have: shorten its time range or select fewer streams',
  unexpected: false,
}
const tooMany: Failure = { status: 429, message: 'too many outstanding requests', unexpected: false }

/** What the store's failures mean to whoever asked. The others are ours to look into. */
function ofStore(error: StoreError): Failure {
  switch (error.code) {
    case 'timeout':
    case 'cancelled':
      return { status: 504, message: timeoutText, unexpected: false }
    case 'memory':
      return ofAllTogether.test(error.message) ? tooMany : tooMuch
    case 'limit':
      return tooMuch
    case 'busy':
      return tooMany
    case 'unavailable':
    case 'full':
    case 'too_many_parts':
    case 'read_only':
    case 'keeper':
    case 'quorum':
      return { status: 503, message: 'the store does not answer', unexpected: true }
    case 'rejected':
      return error.clickhouseCode === badRegex
        ? { status: 400, message: `the store refuses the regular expression: ${error.message}`, unexpected: false }
        : { status: 500, message: 'internal error', unexpected: true }
  }
}

/** @param reason why the request was aborted, if it was */
export function classify(error: unknown, reason: unknown): Failure {
  for (const known of [reason, error]) {
    if (known instanceof ClientGone) return { status: 499, message: known.message, unexpected: false }
    if (known instanceof TimedOut) return { status: 504, message: known.message, unexpected: false }
  }
  if (error instanceof AccessError || error instanceof LimitError)
    return { status: error.statusCode, message: error.message, unexpected: false }
  if (isBadQuery(error)) return { status: 400, message: (error as Error).message, unexpected: false }
  if (error instanceof StoreError) return ofStore(error)
  const { statusCode, message } = error as { statusCode?: unknown; message?: unknown }
  // Of the HTTP layer itself, such as a body that is too large.
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return { status: statusCode, message: String(message), unexpected: false }
  return { status: 500, message: 'internal error', unexpected: true }
}

function isBadQuery(error: unknown): boolean {
  return error instanceof LogqlError || error instanceof QueryError || error instanceof ParameterError
}
