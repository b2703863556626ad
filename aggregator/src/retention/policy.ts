/** How long which rows are kept: the rules of the configuration, and the times before which rows go. Pure. */
import type { Matcher } from '../logql/ast.ts'
import { parseSelectorQuery } from '../logql/parser.ts'
import { all, matcherCondition, type Parameters } from '../logql/sql.ts'

/** How long the rows of some streams are kept. */
export interface RetentionRule {
  /** A selector of LogQL. */
  readonly selector: string
  /** Only rows of this tenant; of every tenant where it is missing. */
  readonly tenant?: string | undefined
  /** Milliseconds; 0 for ever. */
  readonly keep: number
}

export interface RetentionPolicy {
  /** How long rows are kept that no rule is about, milliseconds; 0 for ever. */
  readonly retention: number
  /** The first one that is about a row decides. */
  readonly rules: readonly RetentionRule[]
}

/** The times before which rows go, in nanoseconds since 1970. Plain data, as it is written down before anything is deleted. */
export interface Cutoffs {
  readonly rules: readonly {
    readonly selector: string
    readonly tenant?: string | undefined
    readonly before: string
  }[]
  /** For rows that no rule is about. A midnight: they leave by whole days. */
  readonly before: string
}

export const dayMs = 86_400_000

/** @param now milliseconds since 1970 */
export function cutoffsAt({ retention, rules }: RetentionPolicy, now: number): Cutoffs {
  const before = (keep: number) => (keep === 0 ? 0 : Math.max(0, now - keep))
  const midnight = Math.floor(before(retention) / dayMs) * dayMs
  return {
    rules: rules.map(({ selector, tenant, keep }) => ({
      selector,
      ...(tenant === undefined ? {} : { tenant }),
      before: nanoseconds(before(keep)),
    })),
    before: nanoseconds(midnight),
  }
}

function nanoseconds(milliseconds: number): string {
  return (BigInt(Math.floor(milliseconds)) * 1_000_000n).toString()
}

/** How long any row at all is kept, milliseconds; infinite where some are kept for ever. */
export function longestKept({ retention, rules }: RetentionPolicy): number {
  return Math.max(...[retention, ...rules.map(({ keep }) => keep)].map((keep) => keep || Number.POSITIVE_INFINITY))
}

/** Whether a day (`2026-11-23`, UTC) holds only rows older than anything that is kept: then the day can go as a whole. */
export function wholly(day: string, policy: RetentionPolicy, now: number): boolean {
  return Date.parse(`${day}T00:00:00Z`) + dayMs <= now - longestKept(policy)
}

/**
 * An expression of SQL: the time before which the row at hand goes.
 *
 * @param label the expression of a stream label in the row; '' where it is absent
 */
export function cutoffExpression(parameters: Parameters, cutoffs: Cutoffs, label: (name: string) => string): string {
  const time = (before: string) => parameters.time(BigInt(before))
  const branches = cutoffs.rules.flatMap(({ selector, tenant, before }) => {
    const conditions = [
      ...(tenant === undefined ? [] : [`tenant = ${parameters.string(tenant)}`]),
      ...matchersOf(selector).map((matcher) => matcherCondition(parameters, label(matcher.name), matcher, true)),
    ]
    return [conditions.length === 0 ? '1' : all(conditions), time(before)]
  })
  return branches.length === 0 ? time(cutoffs.before) : `multiIf(${[...branches, time(cutoffs.before)].join(', ')})`
}

/** Throws LogqlError. `{}` is every stream. */
export function matchersOf(selector: string): readonly Matcher[] {
  return parseSelectorQuery(selector).matchers
}
