/** Whether a request may be answered, and for which tenants. What a route needs stands at the route, see {@link RouteAccess}. */
import type { IncomingHttpHeaders } from 'node:http'
import { defaultTenant } from '../logql/tenant-scope.ts'
import { AccessError } from './access-error.ts'
import type { Role } from './config.ts'
import type { Credential, Credentials } from './credentials.ts'
import { tenantProblem } from './tenant-id.ts'

/** What a route asks of a request. */
export interface RouteAccess {
  /** `any`: a credential, whatever its roles. `open`: nothing, not even that. */
  readonly role: Role | 'any' | 'open'
  /** How many tenants are meant: `several` may be named at a time for reading; `none` where an answer is of no tenant. */
  readonly tenants: 'none' | 'one' | 'several'
}

export const forPush: RouteAccess = { role: 'push', tenants: 'one' }
export const forRead: RouteAccess = { role: 'read', tenants: 'several' }
/** What is of all tenants, or changes what is stored. Also what a route gets that asks for nothing. */
export const forAdmin: RouteAccess = { role: 'admin', tenants: 'none' }
export const forAnyone: RouteAccess = { role: 'any', tenants: 'none' }
export const open: RouteAccess = { role: 'open', tenants: 'none' }

/** What a request was let in with. */
export interface Grant {
  /** Undefined where nobody needs one. */
  readonly credential: string | undefined
  /** Sorted. Empty where the route is of no tenant. */
  readonly tenants: readonly string[]
}

const tenantHeader = 'x-scope-orgid'

export class Access {
  readonly #credentials: Credentials
  readonly #multiTenant: boolean

  /** @param multiTenant without it all data is of one tenant, whatever a request says */
  constructor(credentials: Credentials, multiTenant: boolean) {
    this.#credentials = credentials
    this.#multiTenant = multiTenant
  }

  /**
   * For HTTP of any kind, upgrades to WebSocket too: to be called before anything of a request's body is read.
   *
   * @throws {@link AccessError}
   */
  grant(headers: IncomingHttpHeaders, { role, tenants }: RouteAccess): Grant {
    if (role === 'open') return { credential: undefined, tenants: [] }
    const credential = this.#credentials.open ? undefined : this.#credentials.identify(headers.authorization)
    if (credential !== undefined && role !== 'any' && !credential.roles.has(role) && !credential.roles.has('admin'))
      throw new AccessError('role', `the credential ${credential.name} has not the role ${role}`)
    const named = tenants === 'none' ? [] : this.#tenants(headers[tenantHeader], credential)
    if (tenants === 'one' && named.length > 1) throw new AccessError('bad_tenant', 'multiple org IDs present')
    return { credential: credential?.name, tenants: named }
  }

  #tenants(header: string | readonly string[] | undefined, credential: Credential | undefined): readonly string[] {
    if (!this.#multiTenant) return [defaultTenant]
    const text = typeof header === 'string' ? header : (header ?? []).join(',')
    const allowed = credential?.tenants ?? ['*']
    if (text === '') {
      // A credential of one tenant has said which.
      if (allowed.length === 1 && allowed[0] !== '*') return allowed
      throw new AccessError('bad_tenant', 'no org id', 401)
    }
    const named = [...new Set(text.split('|'))].sort()
    for (const name of named) {
      const problem = name === '' ? 'no org id' : tenantProblem(name)
      if (problem !== undefined) throw new AccessError('bad_tenant', `${problem}`)
      if (!allowed.includes('*') && !allowed.includes(name))
        throw new AccessError('tenant', `the credential ${credential!.name} may not speak for the tenant ${name}`)
    }
    return named
  }
}
