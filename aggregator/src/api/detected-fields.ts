/** `detected_fields` and `detected_field/{name}/values`: what fields the newest lines of a query have, so that people can look around. */

import type { Entry } from '../logql/logs.ts'
import { evaluateLog } from '../logql/logs.ts'
import { parseQuery } from '../logql/parser.ts'
import { plan } from '../logql/plan.ts'
import { errorLabels } from '../logql/row-labels.ts'
import { type FieldType, fieldType, lineFields } from './line-fields.ts'
import { checkEntryLimit, ParameterError, type Parameters, parseCount, readQuery } from './params.ts'
import { type ApiRequest, rangeOf } from './request.ts'

const defaultFields = 1000
const defaultLines = 100

interface Field {
  readonly label: string
  type: FieldType
  readonly values: Set<string>
  readonly parsers: Set<string>
  path: readonly string[] | undefined
}

export async function answerDetectedFields(request: ApiRequest): Promise<string> {
  const limit = readCount(request.parameters, 'limit', defaultFields)
  const found = detectFields(await readSample(request), limit)
  const fields = found.map(({ label, parsers, path, type, values }) => ({
    label,
    type,
    cardinality: values.size,
    parsers: parsers.size === 0 ? null : [...parsers],
    ...(path !== undefined && { jsonPath: path }),
  }))
  return JSON.stringify({ fields, limit })
}

export async function answerDetectedValues(request: ApiRequest, name: string): Promise<string> {
  const limit = readCount(request.parameters, 'limit', defaultFields)
  const values = detectFields(await readSample(request), Number.POSITIVE_INFINITY).find(
    ({ label }) => label === name,
  )?.values
  return JSON.stringify({ values: [...(values ?? [])].sort().slice(0, limit), limit })
}

async function readSample(request: ApiRequest): Promise<Entry[]> {
  const { parameters, reader } = request
  const limit = readCount(parameters, 'line_limit', defaultLines)
  checkEntryLimit(limit)
  const planned = plan(parseQuery(readQuery(parameters)))
  if (planned.kind !== 'log') throw new ParameterError('only log selector is supported')
  return evaluateLog(reader, { log: planned.log, ...rangeOf(request), limit, direction: 'backward', interval: 0n })
}

function readCount(parameters: Parameters, name: string, standard: number): number {
  const text = parameters.get(name)
  if (!text) return standard
  const count = parseCount(text)
  if (count <= 0) throw new ParameterError('limit must be a positive value')
  return count
}

/** By name. A field that the stream has too is called `<name>_extracted`; one that the metadata has too is the same field, as in Loki. */
export function detectFields(entries: readonly Entry[], limit: number): Field[] {
  const fields = new Map<string, Field>()
  const add = (label: string, value: string, parser?: string, path?: readonly string[]) => {
    let field = fields.get(label)
    if (field === undefined) {
      if (fields.size >= limit) return
      field = { label, type: 'string', values: new Set(), parsers: new Set(), path: undefined }
      fields.set(label, field)
    }
    field.type = fieldType(value)
    field.values.add(value)
    if (parser !== undefined) field.parsers.add(parser)
    field.path = path ?? field.path
  }
  for (const { labels, line } of entries) {
    for (const [name, value] of labels.metadata) add(name, value)
    const found = lineFields(line, labels.stream)
    // What stages of the query found is told as of the line's parser, as in Loki: explorers take a field of none for metadata, and filter by it ahead of the parsers.
    const parser = found?.parser ?? 'logfmt'
    for (const [name, value] of labels.parsed ?? []) if (!errorLabels.has(name)) add(name, value, parser)
    for (const [name, { path, value }] of found?.fields ?? []) add(name, value, found!.parser, path)
  }
  return [...fields.values()].sort((a, b) => (a.label < b.label ? -1 : 1))
}
