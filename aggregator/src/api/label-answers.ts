/** `labels`, `label/{name}/values`, `series` and `index/stats`. */
import { readIndexStats, readLabelNames, readLabelValues, readSelector, readSeries } from './label-queries.ts'
import { type ApiRequest, rangeOf } from './request.ts'
import { labelsJson } from './shapes.ts'

/** Loki leaves `data` out when there is nothing in it. */
const listJson = (values: readonly string[]): string =>
  JSON.stringify({ status: 'success', ...(values.length > 0 && { data: values }) })

export async function answerLabels(request: ApiRequest): Promise<string> {
  const matchers = readSelector(request.parameters.get('query'))
  return listJson(await readLabelNames(request.reader, matchers, rangeOf(request)))
}

export async function answerLabelValues(request: ApiRequest, name: string): Promise<string> {
  const matchers = readSelector(request.parameters.get('query'))
  return listJson(await readLabelValues(request.reader, name, matchers, rangeOf(request)))
}

export async function answerSeries(request: ApiRequest): Promise<string> {
  const texts = [...request.parameters.getAll('match[]'), ...request.parameters.getAll('match')]
  const selectors = texts.length > 0 ? texts.map(readSelector) : [[]]
  const series = await readSeries(request.reader, selectors, rangeOf(request))
  return `{"status":"success","data":[${series.map(labelsJson).join(',')}]}`
}

export async function answerIndexStats(request: ApiRequest): Promise<string> {
  const matchers = readSelector(request.parameters.get('query'))
  return JSON.stringify(await readIndexStats(request.reader, matchers, rangeOf(request)))
}
