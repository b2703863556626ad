/** `detected_labels`: which labels tell streams apart, and how well. Read from the `streams` table alone. */
import { all, Parameters } from '../logql/sql.ts'
import { streamConditions } from '../logql/streams.ts'
import { readSelector } from './label-queries.ts'
import { type ApiRequest, rangeOf } from './request.ts'

/** Told whatever their values are. */
const always: ReadonlySet<string> = new Set(['cluster', 'namespace', 'instance', 'pod'])

interface LabelRow {
  readonly name: string
  readonly cardinality: string
  /** Values that are neither numbers nor UUIDs, and those that are neither 0 nor 1. */
  readonly words: string
  readonly others: string
}

export async function answerDetectedLabels(request: ApiRequest): Promise<string> {
  const matchers = readSelector(request.parameters.get('query'))
  const { start, end } = rangeOf(request)
  const parameters = new Parameters()
  const conditions = streamConditions(parameters, request.reader.tenant, matchers, start, end)
  const statement = parameters.statement(
    'SELECT pair.1 AS name, toString(uniqExact(pair.2)) AS cardinality,',
    'toString(countIf(toFloat64OrNull(pair.2) IS NULL AND toUUIDOrNull(pair.2) IS NULL)) AS words,',
    "toString(countIf(pair.2 NOT IN ('0', '1'))) AS others",
    `FROM (SELECT arrayJoin(CAST(labels, 'Array(Tuple(String, String))')) AS pair FROM streams WHERE ${all(conditions)})`,
    "WHERE pair.2 != '' GROUP BY name",
  )
  const rows = await request.reader.read<LabelRow>(statement)
  const detectedLabels = rows
    .filter(tellsStreamsApart)
    .map(({ cardinality, name }) => ({ label: name, cardinality: Number(cardinality) }))
    .sort((a, b) => (a.label < b.label ? -1 : 1))
  return JSON.stringify({ detectedLabels })
}

/** Ids are of no use to look around; two values that are 0 and 1 are no ids. */
function tellsStreamsApart({ cardinality, name, others, words }: LabelRow): boolean {
  return always.has(name) || words !== '0' || (Number(cardinality) <= 2 && others === '0')
}
