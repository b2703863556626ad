/** What keeps a request from being answered, in a closed list: label values of `aggregator_http_refused_requests_total`. */
export type AccessProblem =
  /** No Authorization header, or one that is neither Bearer nor Basic. */
  | 'no_credential'
  /** A token, or a user with a password, that nobody has. */
  | 'wrong_credential'
  /** No certificate that is trusted, where one is needed. */
  | 'no_certificate'
  /** A credential without the role. */
  | 'role'
  /** A credential that may not speak for the tenant. */
  | 'tenant'
  /** No tenant where one has to be told, more than one where one is meant, or a name that can't be a tenant's. */
  | 'bad_tenant'

const statuses = {
  no_certificate: 401,
  no_credential: 401,
  wrong_credential: 401,
  role: 403,
  tenant: 403,
  bad_tenant: 400,
} as const

/** A request that is refused before anything of it was looked at; the message is the answer, in plain text. */
export class AccessError extends Error {
  override readonly name = 'AccessError'
  readonly problem: AccessProblem
  readonly statusCode: number
  constructor(problem: AccessProblem, message: string, statusCode: number = statuses[problem]) {
    super(message)
    this.problem = problem
    this.statusCode = statusCode
  }

  /** Of the header WWW-Authenticate; undefined where another credential would not help. */
  get challenge(): string | undefined {
    return this.problem === 'no_credential' || this.problem === 'wrong_credential'
      ? 'Basic realm="tributary", charset="UTF-8", Bearer realm="tributary"'
      : undefined
  }
}
