/** Vector aggregations, step by step. Pure. */
import type { Grouping } from './ast.ts'
import { filterLabels, type Labels, labelsKey } from './labels.ts'
import type { AggregatePlan } from './plan.ts'
import { addSample, emptyCell } from './range-functions.ts'
import { inOrder, type Series } from './series.ts'

interface Group {
  readonly labels: Labels
  readonly members: Series[]
}

export function aggregate(
  { op, parameter = 0, grouping }: Pick<AggregatePlan, 'op' | 'parameter' | 'grouping'>,
  series: readonly Series[],
  points: number,
): Series[] {
  switch (op) {
    case 'sort':
    case 'sort_desc':
      return sorted(series, op === 'sort_desc')
    case 'topk':
    case 'approx_topk':
    case 'bottomk':
      return groupsOf(grouping, inOrder(series)).flatMap(({ members }) =>
        selected(members, parameter, op !== 'bottomk', points),
      )
    default:
      return groupsOf(grouping, series).map(({ labels, members }) => ({
        labels,
        values: Array.from({ length: points }, (_, step) => combine(op, members, step)),
      }))
  }
}

function groupsOf(grouping: Grouping, series: readonly Series[]): Group[] {
  const names = new Set(grouping.labels)
  const groups = new Map<string, Group>()
  for (const member of series) {
    const labels = filterLabels(member.labels, (name, value) =>
      grouping.without ? !names.has(name) && value !== '' : names.has(name),
    )
    const key = labelsKey(labels)
    const group = groups.get(key)
    if (group) group.members.push(member)
    else groups.set(key, { labels, members: [member] })
  }
  return [...groups.values()]
}

function combine(
  op: 'sum' | 'avg' | 'max' | 'min' | 'count' | 'stddev' | 'stdvar',
  members: readonly Series[],
  step: number,
): number | undefined {
  const cell = emptyCell()
  for (const { values } of members) {
    const value = values[step]
    if (value !== undefined) addSample(cell, value)
  }
  if (cell.count === 0) return undefined
  switch (op) {
    case 'sum':
      return cell.sum
    case 'avg':
      return Number.isFinite(cell.mean) ? cell.mean : cell.sum / cell.count
    case 'min':
      return cell.least
    case 'max':
      return cell.most
    case 'count':
      return cell.count
    case 'stdvar':
      return cell.squares / cell.count
    case 'stddev':
      return Math.sqrt(cell.squares / cell.count)
  }
}

/** Best first; what is no number comes last, and of equal ones the one whose labels come first. */
const better =
  (largest: boolean) =>
  (a: number, b: number): number => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
    return largest ? b - a || 0 : a - b || 0
  }

/** The best of each step keep their value and labels. In the order of the first step at which they are there. */
function selected(members: readonly Series[], count: number, largest: boolean, points: number): Series[] {
  const kept = new Map<Series, (number | undefined)[]>()
  const compare = better(largest)
  for (let step = 0; step < points; step++) {
    const present = members.filter(({ values }) => values[step] !== undefined)
    const best = present.sort((a, b) => compare(a.values[step]!, b.values[step]!)).slice(0, count)
    for (const member of best) {
      let values = kept.get(member)
      if (!values) kept.set(member, (values = new Array<number | undefined>(points).fill(undefined)))
      values[step] = member.values[step]
    }
  }
  return [...kept].map(([{ labels }, values]) => ({ labels, values }))
}

/** By the value of the one step there is; over a range every step would have an order of its own, and the labels' is kept. */
function sorted(series: readonly Series[], descending: boolean): Series[] {
  const ordered = inOrder(series)
  const compare = better(descending)
  return ordered[0]?.values.length === 1
    ? ordered.filter(({ values }) => values[0] !== undefined).sort((a, b) => compare(a.values[0]!, b.values[0]!))
    : ordered
}
