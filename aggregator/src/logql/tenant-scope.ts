/**
 * Whose rows a request may see. Every statement that reads `logs` or `streams` gets its condition on the tenant here, as a bound
 * parameter, and nowhere else: a {@link Reader} refuses a statement that did not, so an endpoint that forgets it does not work at all.
 *
 * A new statement: `scope.condition(parameters)` is one of the conditions of each SELECT from one of the two tables (streamConditions and
 * rowConditions have it), and rows of streams are told apart by `scope.streamId`, never by `sid` alone.
 */
import { type Labels, labelsFrom } from './labels.ts'
import type { Parameters } from './sql.ts'

/** The tenant of all data while nobody tells tenants apart; Loki's name for it. */
export const defaultTenant = 'fake'

/** The label by which a query of several tenants tells their streams apart. */
export const tenantLabel = '__tenant_id__'
/** Where a stream's own label of that name is found in such a query. */
export const hiddenTenantLabel = `original_${tenantLabel}`

export class TenantScope {
  /** Sorted, at least one, each once. */
  readonly tenants: readonly string[]

  constructor(tenants: Iterable<string>) {
    this.tenants = [...new Set(tenants)].sort()
    if (this.tenants.length === 0) throw new TypeError('a scope without a tenant')
  }

  /** Streams carry the name of their tenant, as {@link tenantLabel}. */
  get several(): boolean {
    return this.tenants.length > 1
  }

  /** The condition on the column `tenant`; marks the statement as restricted to this scope. */
  condition(parameters: Parameters): string {
    parameters.restrictTo(this)
    return this.several
      ? `tenant IN ${parameters.bind('Array(String)', this.tenants)}`
      : `tenant = ${parameters.string(this.tenants[0]!)}`
  }

  /** The expression, a String, that names a row's stream: equal labels make equal `sid`s, whoever's they are. */
  get streamId(): string {
    return this.several ? `concat(toString(sid), ' ', tenant)` : 'toString(sid)'
  }

  /** Columns that tell streams apart. */
  get streamColumns(): readonly string[] {
    return this.several ? ['tenant', 'sid'] : ['sid']
  }

  /** The expression of a stream label in a row of `streams`; '' where it is absent. */
  label(parameters: Parameters, name: string): string {
    if (this.several && name === tenantLabel) return 'tenant'
    return `labels[${parameters.string(this.storedName(name))}]`
  }

  /** The name under which a row has the label. */
  storedName(name: string): string {
    return this.several && name === hiddenTenantLabel ? tenantLabel : name
  }

  /** A stream's labels as a query sees them, from those that are stored. */
  labelsOf(tenant: string, stored: Readonly<Record<string, string>>): Labels {
    if (!this.several) return labelsFrom(Object.entries(stored))
    const { [tenantLabel]: hidden, ...others } = stored
    const own = hidden === undefined ? [] : [[hiddenTenantLabel, hidden] as const]
    return labelsFrom([...Object.entries(others), ...own, [tenantLabel, tenant]])
  }
}
