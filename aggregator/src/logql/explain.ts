/** Says how a query will be evaluated, for people: what the store does and what is done here, stage by stage. Pure. */
import type { LogExpression } from './ast.ts'
import type { MetricPlan, Plan, SamplePlan } from './plan.ts'
import { printSelector, printStage } from './print.ts'
import { formatDuration } from './quantity.ts'
import { split } from './split.ts'

export type Explanation = { readonly [key: string]: unknown }

export function explain(plan: Plan): Explanation {
  return plan.kind === 'log' ? { kind: 'log', ...explainLog(plan.log) } : explainMetric(plan)
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

function explainMetric(plan: MetricPlan): Explanation {
  switch (plan.kind) {
    case 'scalar':
    case 'constant':
      return { kind: plan.kind, value: plan.value }
    case 'samples':
      return explainSamples(plan)
    case 'aggregate': {
      const { kind, op, parameter, grouping, inner } = plan
      return { kind, op, ...(parameter !== undefined && { parameter }), grouping, of: explainMetric(inner) }
    }
    case 'binary': {
      const { kind, op, bool, matching, left, right } = plan
      return { kind, op, bool, matching, left: explainMetric(left), right: explainMetric(right) }
    }
    case 'replace':
      return { kind: 'label_replace', of: explainMetric(plan.inner) }
  }
}

function explainSamples(plan: SamplePlan): Explanation {
  const { op, range, offset, hints } = plan
  return {
    kind: 'samples',
    op: plan.absent ? 'absent_over_time' : op,
    range: formatDuration(range),
    offset: formatDuration(offset),
    ...explainLog(plan.log),
    counted: plan.where,
    ...(plan.keys && { groupedInStoreBy: plan.keys }),
    ...(hints.noLabels ? { parsed: [] } : hints.required && { parsed: [...hints.required].sort() }),
  }
}
