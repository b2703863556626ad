/** Names of tenants, as Loki has them. Pure. */

/** Why a name can't be a tenant's; undefined when it can. */
export function tenantProblem(name: string): string | undefined {
  const wrong = /[^A-Za-z0-9!\-_.*'()]/u.exec(name)
  if (wrong) return `tenant ID '${name}' contains unsupported character '${wrong[0]}'`
  if (name.length > maxTenantLength) return `tenant ID is too long: max ${maxTenantLength} characters`
  if (name === '.' || name === '..') return "tenant ID is '.' or '..'"
  return undefined
}

export const maxTenantLength = 150
