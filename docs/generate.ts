/**
 * Writes docs/configuration.md from the zod schemas, docs/metrics.md from the registries, docs/loki.md from the test's table, and the chart's values, their schema and tables:
 * `npm run docs`; with `--check` it only says whether the files are what it would write.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { aggregatorConfig } from '@tributary/aggregator/config.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { z } from 'zod'
import { chartFiles } from '../charts/generate.ts'
import { lokiPage } from './loki-page.ts'
import { metricsPage } from './metrics-page.ts'

interface JsonSchema {
  type?: string | string[]
  description?: string
  default?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
  enum?: unknown[]
  const?: unknown
  anyOf?: JsonSchema[]
  items?: JsonSchema
  additionalProperties?: boolean | JsonSchema
}

/** One row of the table. */
interface Key {
  readonly path: string
  readonly type: string
  readonly default: string
  readonly description: string
}

/** What a machine decides has no fixed default. */
const machineDefaults: Record<string, string> = {
  node: "the host's name",
  'kubernetes.enabled': '`true` in a cluster',
}

export function keysOf(schema: z.ZodType): Key[] {
  // `input`: what people write, before human units become numbers.
  return schemaKeys(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema)
}

const schemaKeys = (schema: JsonSchema): Key[] => walk(schema, '', true)

function walk(schema: JsonSchema, path: string, required: boolean): Key[] {
  if (schema.properties) {
    return Object.entries(schema.properties).flatMap(([key, child]) => {
      return walk(child, path === '' ? key : `${path}.${key}`, schema.required?.includes(key) ?? false)
    })
  }
  return [
    { path, type: typeOf(schema), default: defaultOf(schema, path, required), description: schema.description ?? '' },
  ]
}

function typeOf({ type, enum: values, const: value, anyOf, items, additionalProperties }: JsonSchema): string {
  if (values) return values.map((value) => `\`${value}\``).join(', ')
  if (value !== undefined) return `\`${value}\``
  if (anyOf) return [...new Set(anyOf.map(typeOf))].join(' or ')
  if (type === 'array') return `list of ${typeOf(items ?? {})}`
  if (typeof additionalProperties === 'object')
    return Object.keys(additionalProperties).length === 0 ? 'map' : `map of ${typeOf(additionalProperties)}`
  return Array.isArray(type) ? type.join(' or ') : (type ?? 'string')
}

function defaultOf(schema: JsonSchema, path: string, required: boolean): string {
  if (machineDefaults[path]) return machineDefaults[path]
  if (schema.default !== undefined)
    return `\`${typeof schema.default === 'string' && schema.default !== '' ? schema.default : JSON.stringify(schema.default)}\``
  return required ? '**required**' : '-'
}

function table(keys: readonly Key[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  const rows = keys.map(
    ({ path, type, default: fallback, description }) =>
      `| \`${path}\` | ${cell(type)} | ${cell(fallback)} | ${cell(description)} |`,
  )
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

export function configurationPage(): string {
  return `<!-- Written by \`npm run docs\` from the schemas in collector/src/config.ts and aggregator/src/config.ts. -->
# Configuration

One YAML file per process. An unknown or wrong key is an error that names it: \`npx tributary check FILE\` tells, with exit code 2.

- \`\${VAR}\` and \`\${VAR:-default}\` are filled in from the environment, in any value; \`$\${\` stands for a literal \`\${\`.
- Sizes are numbers with a unit: \`64MiB\`, \`1.5GB\`, \`4096\`. Durations likewise: \`250ms\`, \`5s\`, \`1h30m\`, \`7d\`. What is waited for is waited for 24 days at most, whatever is said.
- Every key has a default that is safe. A collector needs only \`aggregator.address\`; an aggregator needs nothing.

## Collector

\`npx tributary collector --config FILE\`

${table(keysOf(collectorConfig))}

## Aggregator

\`npx tributary aggregator --config FILE\`

${table(keysOf(aggregatorConfig))}
`
}

if (import.meta.main) {
  const page = (name: string) => fileURLToPath(new URL(name, import.meta.url))
  for (const [path, text] of [
    [page('configuration.md'), configurationPage()],
    [page('metrics.md'), metricsPage()],
    [page('loki.md'), lokiPage()],
    ...chartFiles((schema) => table(schemaKeys(schema))),
  ] as const) {
    if (!process.argv.includes('--check')) writeFileSync(path, text)
    else if (readFileSync(path, 'utf8') !== text) {
      console.error(`${relative(process.cwd(), path)} is not what the sources say; run \`npm run docs\` and commit it`)
      process.exitCode = 1
    }
  }
}
