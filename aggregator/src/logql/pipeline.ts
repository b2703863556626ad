/** A pipeline as conditions on rows of `logs`. */
import type { LabelChoice, LineOperator, Stage } from './ast.ts'
import { LabelExpressions } from './row-labels.ts'
import type { Parameters } from './sql.ts'
import type { StreamSet } from './streams.ts'

export interface PipelineSql {
  readonly conditions: readonly string[]
  /** Of labels behind the last stage. */
  readonly labels: LabelExpressions
  /** What the pipeline takes from the labels that are shown, in order. */
  readonly drops: readonly LabelChoice[]
}

/** The stages have passed the planner: only those it evaluates are here. */
export function pipelineSql(parameters: Parameters, stages: readonly Stage[], streams: StreamSet): PipelineSql {
  const labels = new LabelExpressions(parameters, streams)
  const conditions: string[] = []
  for (const stage of stages) {
    if (stage.kind === 'line') {
      const values = stage.alternatives.map((alternative) => alternative.value)
      conditions.push(lineCondition(parameters, stage.op, values))
    } else if (stage.kind === 'label') conditions.push(labels.condition(stage.filter))
    else if (stage.kind === 'drop') for (const choice of stage.choices) labels.drop(choice)
  }
  return { conditions, labels, drops: dropsOf(stages) }
}

export const dropsOf = (stages: readonly Stage[]): LabelChoice[] =>
  stages.flatMap((stage) => (stage.kind === 'drop' ? stage.choices : []))

/** `or` is within the operator: `!= "a" or "b"` holds where neither is found. */
function lineCondition(parameters: Parameters, op: LineOperator, values: readonly string[]): string {
  const found = values.map((value) =>
    op === '|~' || op === '!~' ? regexCondition(parameters, value) : containsCondition(parameters, value),
  )
  const any = found.length === 1 ? found[0]! : `(${found.join(' OR ')})`
  return op === '!=' || op === '!~' ? `NOT ${any}` : any
}

/**
 * LIKE, because it uses the token index on the line for every word that stands whole in the text, and finds any substring of
 * bytes.
 */
function containsCondition(parameters: Parameters, text: string): string {
  return `line LIKE ${parameters.string(`%${text.replace(/[\\%_]/g, '\\$&')}%`)}`
}

/** Characters that mean more than themselves in a regular expression. */
const special = /[\\^$.|?*+()[\]{}]/

/** Unanchored, and the dot does not match a newline: ClickHouse's default is that it does. */
function regexCondition(parameters: Parameters, regex: string): string {
  if (!special.test(regex)) return containsCondition(parameters, regex)
  return `match(line, ${parameters.string(`(?-s)${regex}`)})`
}
