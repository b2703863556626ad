/** The engine's errors, and how ClickHouse's HTTP interface reports them. */
import { isFull } from '@tributary/protocol/disk.ts'

export class EngineException extends Error {
  /** ClickHouse's number of the error. */
  readonly code: number
  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** ClickHouse's numbers of the errors that are told apart here. */
export const exceptionCodes = {
  unknownFormat: 73,
  unknownSetting: 115,
  timeout: 159,
  tooManyQueries: 202,
  unsupportedMethod: 1,
  tooLarge: 223,
  aborted: 236,
  notEnoughSpace: 243,
  queryCancelled: 394,
  unknownParameter: 456,
  authenticationFailed: 516,
  unknown: 1002,
} as const

/** An exception in the engine's own words: `Code: 62. DB::Exception: … (SYNTAX_ERROR)`. */
export function exceptionFrom(error: unknown): EngineException {
  if (error instanceof EngineException) return error
  const message = error instanceof Error ? error.message : String(error)
  if (isFull(error)) return exception(exceptionCodes.notEnoughSpace, 'NOT_ENOUGH_SPACE', message)
  const code = /\bCode: (\d+)\b/.exec(message)?.[1]
  if (code === undefined) return exception(exceptionCodes.unknown, 'UNKNOWN_EXCEPTION', message)
  return new EngineException(Number(code), message, { cause: error })
}

export function exception(code: number, name: string, message: string): EngineException {
  return new EngineException(code, `Code: ${code}. DB::Exception: ${message} (${name})`)
}

const badRequest = new Set([6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 69, 72, 73, 117, 130, 427, 456])
const notFound = new Set([16, 46, 47, 50, 56, 60, 81, 115])

/** The HTTP status for an exception's code, as ClickHouse chooses it. */
export function statusOf(code: number): number {
  if (badRequest.has(code)) return 400
  if (code === exceptionCodes.authenticationFailed) return 403
  if (notFound.has(code)) return 404
  if (code === exceptionCodes.timeout) return 408
  if (code === exceptionCodes.tooLarge) return 413
  if (code === exceptionCodes.tooManyQueries || code === exceptionCodes.aborted) return 503
  return 500
}
