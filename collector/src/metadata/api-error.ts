/** What can go wrong with the Kubernetes API: expected, counted by reason, and tried again. */
import type { ApiProblem } from '../metrics.ts'

export class ApiError extends Error {
  readonly reason: ApiProblem
  /** How long the server asks to be left alone, ms. */
  readonly retryAfter: number

  constructor(
    reason: ApiProblem,
    message: string,
    { retryAfter = 0, cause }: { retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause })
    this.name = 'ApiError'
    this.reason = reason
    this.retryAfter = retryAfter
  }
}

/** The error for an answer that is not 200. `body` is what came with it, perhaps cut. */
export function statusError(status: number, body: string, retryAfter: string | undefined): ApiError {
  const message = `the API server answered ${status}${said(body)}`
  if (status === 401)
    return new ApiError('unauthorized', `${message}; the token or certificate is not valid, or not any more`)
  if (status === 403)
    return new ApiError(
      'forbidden',
      `${message}; allow the service account to list and watch pods (and namespaces, with kubernetes.namespaceLabels)`,
    )
  if (status === 410) return new ApiError('expired', message)
  if (status === 429) return new ApiError('throttled', message, { retryAfter: 1000 * (Number(retryAfter) || 1) })
  return new ApiError('status', message, { retryAfter: 1000 * (Number(retryAfter) || 0) })
}

function said(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown }
    return typeof message === 'string' ? `: ${message.slice(0, 300)}` : ''
  } catch {
    return body === '' ? '' : `: ${body.slice(0, 100)}`
  }
}
