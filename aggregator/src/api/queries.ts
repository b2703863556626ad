/** `query` and `query_range`. */
import { explain } from '../logql/explain.ts'
import { evaluateLog } from '../logql/logs.ts'
import { countSources, evaluateMetric, seriesOf } from '../logql/metric.ts'
import { parseQuery } from '../logql/parser.ts'
import { type MetricPlan, type Plan, plan } from '../logql/plan.ts'
import type { Steps } from '../logql/windows.ts'
import {
  checkEntryLimit,
  ParameterError,
  parseTime,
  readDirection,
  readInterval,
  readLimit,
  readQuery,
  readStep,
  readTimeRange,
  type TimeRange,
} from './params.ts'
import type { ApiRequest } from './request.ts'
import { matrixJson, scalarJson, streamsJson, successJson, vectorJson } from './shapes.ts'
import { statsJson } from './stats.ts'

export async function answerRange(request: ApiRequest): Promise<string> {
  const { parameters } = request
  const range = readTimeRange(parameters, request.now)
  if (range.end < range.start) throw new ParameterError('end timestamp must not be before or equal to start time')
  const step = readStep(parameters, range)
  const interval = readInterval(parameters)
  const limit = readLimit(parameters)
  const direction = readDirection(parameters)
  const planned = plan(parseQuery(readQuery(parameters)))
  if (parameters.get('explain') === '1') return answerExplanation(request, planned, stepsOf(range, step))
  if (planned.kind !== 'log') return answerMatrix(request, planned, stepsOf(range, step))
  checkEntryLimit(limit)
  const entries = await evaluateLog(request.reader, { log: planned.log, ...range, limit, direction, interval })
  const stats = statsJson(request.reader.totals, request.seconds(), entries.length)
  return successJson(streamsJson(entries, request.categorized), stats)
}

function stepsOf({ start, end }: TimeRange, step: bigint): Steps {
  return { start, step, points: Number((end - start) / step) + 1 }
}

async function answerMatrix(request: ApiRequest, planned: MetricPlan, steps: Steps): Promise<string> {
  const series = seriesOf(await evaluateMetric(request.reader, planned, steps), steps)
  const stats = statsJson(request.reader.totals, request.seconds(), series.length)
  return successJson(matrixJson(series, steps), stats)
}

export async function answerInstant(request: ApiRequest): Promise<string> {
  const { parameters } = request
  const text = parameters.get('time')
  const time = text ? parseTime(text) : request.now
  readLimit(parameters)
  readDirection(parameters)
  const planned: Plan = plan(parseQuery(readQuery(parameters)))
  const steps: Steps = { start: time, step: 1n, points: 1 }
  if (parameters.get('explain') === '1') return answerExplanation(request, planned, steps)
  if (planned.kind === 'log') {
    throw new ParameterError(
      'log queries are not supported as an instant query type, please change your query to a range query type',
    )
  }
  const value = await evaluateMetric(request.reader, planned, steps)
  const returned = value.kind === 'scalar' ? 1 : value.series.length
  const data = value.kind === 'scalar' ? scalarJson(value.value, time) : vectorJson(value.series, time)
  return successJson(data, statsJson(request.reader.totals, request.seconds(), returned))
}

/** What `explain=1` answers instead of evaluating the query. */
async function answerExplanation(request: ApiRequest, planned: Plan, steps: Steps): Promise<string> {
  const sources = planned.kind === 'log' ? undefined : await countSources(request.reader, planned, steps)
  return JSON.stringify({ status: 'success', data: { resultType: 'plan', result: explain(planned, sources) } })
}
