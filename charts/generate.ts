/**
 * Writes the chart's values.yaml, values.schema.json and the tables in its README from the schemas: part of `npm run docs`, which with
 * `--check` only says whether the files are what it would write.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { type JsonSchema, jsonSchemaOf } from './process-config.ts'
import { configurations, values } from './values.ts'

/** What makes the tables: docs/generate.ts has it. */
export type Table = (schema: JsonSchema) => string

/** The whole schema, with the processes' own where their configuration goes. */
export function valuesSchema(): JsonSchema {
  const schema = jsonSchemaOf(values)
  for (const [path, configuration] of Object.entries(configurations)) {
    const keys = path.split('.')
    const last = keys.pop()!
    const parent = keys.reduce((at, key) => at.properties![key]!, schema)
    const { description, default: standard } = parent.properties![last]!
    parent.properties![last] = { ...configuration(), description, default: standard } as JsonSchema
  }
  // Helm gives it to charts that others depend on.
  schema.properties!['global'] = { type: 'object', description: 'What charts that depend on this one share.' }
  return schema
}

export function valuesSchemaFile(): string {
  return `${JSON.stringify(valuesSchema(), null, 2)}\n`
}

export function valuesFile(): string {
  const lines = [
    '# Written by `npm run docs` from charts/values.ts: change that. The README explains; values.schema.json knows every key.',
    ...sectionLines(jsonSchemaOf(values), ''),
  ]
  return `${lines.join('\n')}\n`
}

function sectionLines(schema: JsonSchema, indent: string): string[] {
  return Object.entries(schema.properties!).flatMap(([key, child]) => {
    const space = indent === '' ? [''] : []
    if (child.properties !== undefined) return [...space, `${indent}${key}:`, ...sectionLines(child, `${indent}  `)]
    const value = stringify({ [key]: child.default }, { lineWidth: 0 })
      .trimEnd()
      .split('\n')
    return [...space, `${indent}# -- ${child.description}`, ...value.map((line) => indent + line)]
  })
}

const begin =
  '<!-- Written by `npm run docs` from here on: change charts/values.ts, or the configuration schemas. -->\n'

/** The README with its tables made anew; the text before them is left. */
export function readmeFile(readme: string, table: Table): string {
  const at = readme.indexOf(begin)
  if (at === -1) throw new Error(`the chart's README has no line ${begin}`)
  const tables = Object.entries(configurations).map(
    ([path, schema]) => `### \`${path}\`\n\n${table({ properties: { [path]: schema() } })}\n`,
  )
  return `${readme.slice(0, at)}${begin}
## Values

${table(jsonSchemaOf(values))}

Keys of the configuration files, as values. Keys that are not listed, the chart sets itself.

${tables.join('\n')}`
}

/** All files it writes: path and what belongs there. */
export function chartFiles(table: Table): [path: string, text: string][] {
  const path = (name: string) => fileURLToPath(new URL(`tributary/${name}`, import.meta.url))
  const readme = path('README.md')
  return [
    [path('values.yaml'), valuesFile()],
    [path('values.schema.json'), valuesSchemaFile()],
    [readme, readmeFile(readFileSync(readme, 'utf8'), table)],
  ]
}
