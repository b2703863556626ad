/** Evaluates a metric query: reads its samples, then works on the small matrix that is left. */
import { QueryError } from './error.ts'
import type { MetricPlan } from './plan.ts'
import type { Reader } from './rows.ts'
import { readSamples, type Steps } from './samples.ts'
import { aggregate, binary, constantSeries, presentSeries, type Series, type Value } from './series.ts'

/** Loki's max_query_series. */
const maxSeries = 500

/** Series in the order of their labels, or a number that is the same at every step. */
export async function evaluateMetric(reader: Reader, plan: MetricPlan, steps: Steps): Promise<Value> {
  const value = await evaluate(reader, plan, steps)
  if (value.kind === 'scalar') return value
  const series = presentSeries(value.series)
  if (series.length > maxSeries) throw new QueryError(`maximum of series (${maxSeries}) reached for a single query`)
  return { kind: 'series', series }
}

async function evaluate(reader: Reader, plan: MetricPlan, steps: Steps): Promise<Value> {
  switch (plan.kind) {
    case 'scalar':
      return plan
    case 'constant':
      return { kind: 'series', series: [constantSeries(plan.value, steps.points)] }
    case 'samples':
      return { kind: 'series', series: await readSamples(reader, plan, steps) }
    case 'aggregate': {
      const inner = await evaluate(reader, plan.inner, steps)
      return { kind: 'series', series: aggregate(plan.op, plan.grouping, seriesOf(inner, steps), steps.points) }
    }
    case 'binary': {
      const left = await evaluate(reader, plan.left, steps)
      const right = await evaluate(reader, plan.right, steps)
      return binary(plan.op, plan.bool, left, right)
    }
  }
}

/** A number where series are needed is one series without labels. */
export function seriesOf(value: Value, steps: Steps): Series[] {
  return value.kind === 'series' ? value.series : [constantSeries(value.value, steps.points)]
}
