/** Series over the steps of a query. */
import { compareLabels, type Labels, noLabels } from './labels.ts'

/** One value for each step; undefined where the series has no point. */
export interface Series {
  readonly labels: Labels
  readonly values: (number | undefined)[]
}

/** The same number at every step, or series. */
export type Value =
  | { readonly kind: 'scalar'; readonly value: number }
  | { readonly kind: 'series'; readonly series: Series[] }

/** Without series that have no point. */
export function presentSeries(series: readonly Series[]): Series[] {
  return series.filter(({ values }) => values.some((value) => value !== undefined))
}

export const inOrder = (series: readonly Series[]): Series[] =>
  series.toSorted((a, b) => compareLabels(a.labels, b.labels))

export function constantSeries(value: number, points: number): Series {
  return { labels: noLabels, values: new Array<number>(points).fill(value) }
}
