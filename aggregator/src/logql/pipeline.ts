/** A pipeline as conditions on rows of `logs`. */
import type { Stage } from './ast.ts'
import { containsCondition, likeCondition } from './needles.ts'
import { prefilterConditions } from './prefilter.ts'
import { LabelExpressions } from './row-labels.ts'
import type { Split } from './split.ts'
import type { Parameters } from './sql.ts'
import type { StreamSet } from './streams.ts'

export interface PipelineSql {
  readonly conditions: readonly string[]
  /** Of labels behind the last stage that the store does. */
  readonly labels: LabelExpressions
}

export function pipelineSql(parameters: Parameters, parts: Split, streams: StreamSet): PipelineSql {
  const labels = new LabelExpressions(parameters, streams)
  const conditions: string[] = []
  for (const stage of [...parts.pushed, ...parts.lineFilters]) {
    if (stage.kind === 'line') conditions.push(lineStageCondition(parameters, stage, streams.longestWord))
    else if (stage.kind === 'label') conditions.push(labels.condition(stage.filter))
    else if (stage.kind === 'drop') for (const choice of stage.choices) labels.drop(choice)
  }
  conditions.push(...prefilterConditions(parameters, parts, labels, streams.longestWord))
  return { conditions, labels }
}

/** `or` is within the operator: `!= "a" or "b"` holds where neither is found. */
function lineStageCondition(
  parameters: Parameters,
  { op, alternatives }: Extract<Stage, { kind: 'line' }>,
  longestWord: number,
): string {
  const contains = (text: string) =>
    op.startsWith('|') ? containsCondition(parameters, text, longestWord) : likeCondition(parameters, text)
  const found = alternatives.map(({ value }) =>
    op === '|~' || op === '!~' ? regexCondition(parameters, value, contains) : contains(value),
  )
  const any = found.length === 1 ? found[0]! : `(${found.join(' OR ')})`
  return op === '!=' || op === '!~' ? `NOT ${any}` : any
}

/** Characters that mean more than themselves in a regular expression. */
const special = /[\\^$.|?*+()[\]{}]/

/** Unanchored, and the dot does not match a newline: ClickHouse's default is that it does. */
function regexCondition(parameters: Parameters, regex: string, contains: (text: string) => string): string {
  if (!special.test(regex)) return contains(regex)
  return `match(line, ${parameters.string(`(?-s)${regex}`)})`
}
