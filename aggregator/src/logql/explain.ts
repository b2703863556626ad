/** Says how a query will be evaluated, for people: what the store does and what is done here, stage by stage. Pure. */
import type { LogExpression } from './ast.ts'
import type { CountSource } from './counts.ts'
import type { MetricPlan, Plan, SamplePlan } from './plan.ts'
import { printSelector, printStage } from './print.ts'
import { formatDuration } from './quantity.ts'
import { split } from './split.ts'

export type Explanation = { readonly [key: string]: unknown }

/** @param sources where samples that the store counts are taken from, as far as that is known */
export function explain(plan: Plan, sources: ReadonlyMap<SamplePlan, CountSource> = new Map()): Explanation {
  return plan.kind === 'log' ? { kind: 'log', ...explainLog(plan.log) } : explainMetric(plan, sources)
}

function explainLog(log: LogExpression): Explanation {
  const parts = split(log.stages)
  const here = parts.breaks === undefined ? [] : parts.rest
  return {
    selector: printSelector(log.matchers),
    store: [...parts.pushed, ...parts.lineFilters].map(printStage),
    process: here.map(printStage),
    ...(parts.breaks && { because: `the store cannot do ${printStage(parts.breaks)} exactly` }),
  }
}

type Sources = ReadonlyMap<SamplePlan, CountSource>

function explainMetric(plan: MetricPlan, sources: Sources): Explanation {
  switch (plan.kind) {
    case 'scalar':
    case 'constant':
      return { kind: plan.kind, value: plan.value }
    case 'samples':
      return explainSamples(plan, sources.get(plan))
    case 'aggregate': {
      const { kind, op, parameter, grouping, inner } = plan
      return { kind, op, ...(parameter !== undefined && { parameter }), grouping, of: explainMetric(inner, sources) }
    }
    case 'binary': {
      const { kind, op, bool, matching, left, right } = plan
      return { kind, op, bool, matching, left: explainMetric(left, sources), right: explainMetric(right, sources) }
    }
    case 'replace':
      return { kind: 'label_replace', of: explainMetric(plan.inner, sources) }
  }
}

function explainSamples(plan: SamplePlan, source: CountSource | undefined): Explanation {
  const { op, range, offset, hints } = plan
  return {
    kind: 'samples',
    op: plan.absent ? 'absent_over_time' : op,
    range: formatDuration(range),
    offset: formatDuration(offset),
    ...explainLog(plan.log),
    counted: plan.where,
    ...(source && explainSource(source)),
    ...(plan.keys && { groupedInStoreBy: plan.keys }),
    ...(hints.noLabels ? { parsed: [] } : hints.required && { parsed: [...hints.required].sort() }),
  }
}

function explainSource(source: CountSource): Explanation {
  if (source.from === 'rows') return { from: 'rows', notFromRollup: source.because }
  const { cut } = source.rollup
  return { from: 'rollup', ...(cut.length > 0 && { minutesFromRows: cut.length }) }
}
