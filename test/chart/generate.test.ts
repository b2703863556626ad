/** The chart's files are what the schemas say. That they are up to date, `npm run docs -- --check` tells. */

import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { readmeFile, valuesFile, valuesSchema } from '../../charts/generate.ts'
import {
  aggregatorConfigSchema,
  collectorConfigSchema,
  type JsonSchema,
  jsonSchemaOf,
  storeSchema,
} from '../../charts/process-config.ts'

const paths = ({ properties = {} }: JsonSchema, path = ''): string[] =>
  Object.entries(properties).flatMap(([key, child]) => {
    const at = path === '' ? key : `${path}.${key}`
    return child.properties === undefined ? [at] : paths(child, at)
  })

test('every value and every key of configuration is described', () => {
  const check = (schema: JsonSchema, path: string): void => {
    if (schema.properties === undefined) expect(schema.description, path).toMatch(/\S/)
    for (const [key, child] of Object.entries(schema.properties ?? {})) check(child, `${path}.${key}`)
  }
  check(valuesSchema(), '')
})

describe('configuration as values', () => {
  test('has the keys of the processes, but for those that the chart sets', () => {
    const collector = paths(collectorConfigSchema())
    expect(collector).toContain('logs.maxLineBytes')
    for (const key of ['node', 'cluster', 'stateDir', 'http.listen', 'aggregator.tls.caFile'])
      expect(collector).not.toContain(key)
    const aggregator = paths(aggregatorConfigSchema())
    expect(aggregator).toContain('http.tls.certFile')
    for (const key of ['dataDir', 'store.engine', 'forward.tls.certFile']) expect(aggregator).not.toContain(key)
    expect(paths(storeSchema())).toContain('clickhouse.url')
  })

  test('has no key that holds a secret, only those that name a file with one', () => {
    expect(JSON.stringify(valuesSchema())).not.toMatch(/"(sharedKey|password|token)":\{/)
    expect(paths(collectorConfigSchema())).toEqual(
      expect.arrayContaining(['http.tokenFile', 'aggregator.passwordFile']),
    )
  })

  test('has only expressions that Helm can read, and nothing that depends on this machine', () => {
    expect(JSON.stringify(valuesSchema())).not.toMatch(/\(\?[=!<]/)
    expect(collectorConfigSchema().properties!['kubernetes']!.properties!['enabled']).not.toHaveProperty('default')
  })
})

test('a section has no default of its own, and an unknown key in it is refused', () => {
  const schema = jsonSchemaOf(
    z.strictObject({ a: z.strictObject({ b: z.int().default(1).describe('B.') }).prefault({}) }),
  )
  expect(schema.properties!['a']).toMatchObject({ additionalProperties: false })
  expect(valuesFile()).toMatch(/^aggregator:\n {2}# -- Run aggregators\..*\n {2}enabled: true$/m)
})

test('of the README only what is behind the mark is written anew', () => {
  const mark =
    '<!-- Written by `npm run docs` from here on: change charts/values.ts, or the configuration schemas. -->\n'
  const made = readmeFile(`# Text\n${mark}old`, () => 'TABLE')
  expect(made).toMatch(/^# Text\n<!-- .*-->\n\n## Values\n\nTABLE\n/)
  expect(made).not.toContain('old')
  expect(() => readmeFile('# Text', () => '')).toThrow("the chart's README has no line")
})
