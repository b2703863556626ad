/** The processes' configuration as the chart takes it: the same schemas, without the keys that the chart itself sets. Pure. */
import { aggregatorConfig } from '@tributary/aggregator/config.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { z } from 'zod'

/** The part of JSON Schema, draft 7, that zod writes for configuration. */
export interface JsonSchema {
  $schema?: string
  type?: string | string[]
  description?: string
  default?: unknown
  properties?: Record<string, JsonSchema>
  propertyNames?: JsonSchema
  required?: string[]
  enum?: unknown[]
  anyOf?: JsonSchema[]
  items?: JsonSchema
  additionalProperties?: boolean | JsonSchema
  pattern?: string
}

/** Where the pod mounts things, and what the values beside `config` decide. */
export const managedKeys = {
  collector: [
    'node',
    'cluster',
    'stateDir',
    'aggregator.sharedKeyFile',
    'aggregator.tls.enabled',
    'aggregator.tls.caFile',
    'aggregator.tls.certFile',
    'aggregator.tls.keyFile',
    'input.forward.listen',
    'kubernetes.kubeconfig',
    'http.listen',
  ],
  aggregator: [
    'dataDir',
    'replicas',
    'store',
    'forward.listen',
    'forward.sharedKeyFile',
    'forward.tls',
    'http.listen',
    'syslog.listen',
  ],
  store: ['clickhouse.passwordFile'],
} as const

/** What zod makes of a schema: as people write it, before human units become numbers. */
export const jsonSchemaOf = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-7' }) as JsonSchema

export function collectorConfigSchema(): JsonSchema {
  const schema = without(asValues(jsonSchemaOf(collectorConfig)), managedKeys.collector)
  // Told by the chart's own Service unless it is said.
  delete schema.properties!['aggregator']!.required
  delete schema.required
  // Decided where the process runs, not where the schema is written.
  delete schema.properties!['kubernetes']!.properties!['enabled']!.default
  return schema
}

export function aggregatorConfigSchema(): JsonSchema {
  return without(asValues(jsonSchemaOf(aggregatorConfig)), managedKeys.aggregator)
}

export function storeSchema(): JsonSchema {
  const store = jsonSchemaOf(aggregatorConfig).properties!['store']!
  return without(asValues(store), managedKeys.store)
}

function without(schema: JsonSchema, paths: readonly string[]): JsonSchema {
  for (const path of paths) {
    const keys = path.split('.')
    const last = keys.pop()!
    const parent = keys.reduce<JsonSchema | undefined>((at, key) => at?.properties?.[key], schema)
    if (parent?.properties?.[last] === undefined) throw new Error(`${path} is no key of the configuration`)
    delete parent.properties[last]
  }
  return schema
}

/**
 * A copy that holds no secrets and that Helm can read. Values end in a ConfigMap, which is no place for a secret: of a key that also exists
 * as `…File` only that one is left. Helm's expressions are RE2, which has no lookahead: the process checks those itself.
 */
function asValues(schema: JsonSchema): JsonSchema {
  const { $schema: _, default: standard, ...rest } = schema
  const copy: JsonSchema = rest
  // `{}` before the keys of a section are filled in tells nothing.
  if (standard !== undefined && schema.properties === undefined) copy.default = standard
  if (copy.pattern?.includes('(?')) delete copy.pattern
  if (copy.properties !== undefined) {
    const names = Object.keys(copy.properties)
    const kept = Object.entries(copy.properties).filter(([name]) => !names.includes(`${name}File`))
    copy.properties = Object.fromEntries(kept.map(([name, child]) => [name, asValues(child)]))
    // With defaults the input has no required keys but those that say so.
    if (copy.required !== undefined)
      copy.required = copy.required.filter((name) => copy.properties![name] !== undefined)
  }
  if (copy.items !== undefined) copy.items = asValues(copy.items)
  if (copy.propertyNames !== undefined) copy.propertyNames = asValues(copy.propertyNames)
  if (typeof copy.additionalProperties === 'object') copy.additionalProperties = asValues(copy.additionalProperties)
  if (copy.anyOf !== undefined) {
    const hasFile = copy.anyOf.some(({ properties }) => properties?.['passwordFile'] !== undefined)
    // A user that is only a text is its password.
    copy.anyOf = copy.anyOf.filter(({ type }) => !(hasFile && type === 'string')).map(asValues)
  }
  return copy
}
