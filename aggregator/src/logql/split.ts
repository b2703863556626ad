/**
 * Decides, stage by stage, what the store does and what is done here. Pure.
 *
 * Up to the first stage that SQL cannot do exactly, the store does all. Behind it the store still takes line filters, as long as no stage
 * before changed the line; and it leaves out lines that cannot pass a label filter, which is then asked again here.
 */
import type { Stage } from './ast.ts'
import { isStoredExactly } from './row-labels.ts'

/** A stage that finds labels in the line. */
export type Parser = Extract<Stage, { kind: 'json' | 'logfmt' | 'regexp' | 'pattern' | 'unpack' }>

export const isParser = (stage: Stage): stage is Parser =>
  ['json', 'logfmt', 'regexp', 'pattern', 'unpack'].includes(stage.kind)

export interface Split {
  /** Done by the store, exactly. Without `breaks`, all there is. */
  readonly pushed: readonly Stage[]
  /** Line filters behind, done by the store too. */
  readonly lineFilters: readonly Stage[]
  /** Done here, in order; what the store has filtered is left out, but what changes labels is not. */
  readonly rest: readonly Stage[]
  /** The first stage that the store cannot do. */
  readonly breaks: Stage | undefined
}

export function split(stages: readonly Stage[]): Split {
  const at = stages.findIndex((stage) => !isPushable(stage))
  if (at === -1) {
    const drops = stages.filter(({ kind }) => kind === 'drop')
    return { pushed: stages, lineFilters: [], rest: drops, breaks: undefined }
  }
  const lineFilters: Stage[] = []
  const rest: Stage[] = stages.slice(0, at).filter(({ kind }) => kind === 'drop')
  let lineChanged = false
  for (const stage of stages.slice(at)) {
    if (stage.kind === 'line' && isPushable(stage) && !lineChanged) lineFilters.push(stage)
    else rest.push(stage)
    lineChanged ||= changesLine(stage)
  }
  return { pushed: stages.slice(0, at), lineFilters, rest, breaks: stages[at] }
}

export const changesLine = ({ kind }: Stage): boolean =>
  kind === 'line_format' || kind === 'unpack' || kind === 'decolorize'

/** Whether the store can do it, given that all before it is done by the store. */
function isPushable(stage: Stage): boolean {
  if (stage.kind === 'line') return stage.op !== '|>' && stage.op !== '!>' && !stage.alternatives.some(({ ip }) => ip)
  if (stage.kind === 'label') return isStoredExactly(stage.filter)
  return stage.kind === 'drop'
}
