/** What range aggregations make of the samples in a window. */
import type { RangeOperator } from './ast.ts'

/** What is known of the samples of a bucket, or of several that follow each other. */
export interface Cell {
  count: number
  sum: number
  least: number
  most: number
  mean: number
  /** Sum of the squares of the distances from the mean. */
  squares: number
  first: TimedValue | undefined
  last: TimedValue | undefined
}

export interface TimedValue {
  readonly time: bigint
  /** Decides between equal times; compares like the place of the entry. */
  readonly place: string
  readonly value: number
}

export const emptyCell = (): Cell => ({
  count: 0,
  sum: 0,
  least: Number.NaN,
  most: Number.NaN,
  mean: 0,
  squares: 0,
  first: undefined,
  last: undefined,
})

/** Adds one sample; samples may come in any order. */
export function addSample(cell: Cell, value: number): void {
  cell.count++
  cell.sum += value
  cell.least = lesser(cell.least, value)
  cell.most = greater(cell.most, value)
  const delta = value - cell.mean
  cell.mean += delta / cell.count
  cell.squares += delta * (value - cell.mean)
}

export function addTimed(cell: Cell, sample: TimedValue): void {
  cell.count++
  if (cell.first === undefined || isBefore(sample, cell.first)) cell.first = sample
  if (cell.last === undefined || isBefore(cell.last, sample)) cell.last = sample
}

export const isBefore = (a: TimedValue, b: TimedValue): boolean =>
  a.time < b.time || (a.time === b.time && a.place < b.place)

/** NaN only where there is nothing else. */
const lesser = (a: number, b: number): number => (Number.isNaN(a) || b < a ? b : a)
const greater = (a: number, b: number): number => (Number.isNaN(a) || b > a ? b : a)

/** Both together. */
export function mergeCells(a: Cell, b: Cell): Cell {
  if (a.count === 0) return b
  if (b.count === 0) return a
  const count = a.count + b.count
  const delta = b.mean - a.mean
  return {
    count,
    sum: a.sum + b.sum,
    least: lesser(a.least, b.least),
    most: greater(a.most, b.most),
    mean: a.mean + (delta * b.count) / count,
    squares: a.squares + b.squares + (delta * delta * a.count * b.count) / count,
    first: !a.first || (b.first && isBefore(b.first, a.first)) ? b.first : a.first,
    last: !a.last || (b.last && isBefore(a.last, b.last)) ? b.last : a.last,
  }
}

/** Aggregations that need every sample of the window, in order of time. The others are made of cells. */
export const needsSamples = (op: RangeOperator): boolean => op === 'quantile_over_time' || op === 'rate_counter'
export const needsTimes = (op: RangeOperator): boolean =>
  op === 'first_over_time' || op === 'last_over_time' || op === 'rate_counter'

/** @param seconds length of the range */
export function cellValue(op: RangeOperator, cell: Cell, seconds: number): number {
  switch (op) {
    case 'count_over_time':
      return cell.count
    case 'rate':
    case 'bytes_rate':
      return cell.sum / seconds
    case 'bytes_over_time':
    case 'sum_over_time':
      return cell.sum
    case 'avg_over_time':
      return average(cell)
    case 'min_over_time':
      return cell.least
    case 'max_over_time':
      return cell.most
    case 'stdvar_over_time':
      return cell.squares / cell.count
    case 'stddev_over_time':
      return Math.sqrt(cell.squares / cell.count)
    case 'first_over_time':
      return cell.first!.value
    case 'last_over_time':
      return cell.last!.value
    default:
      throw new TypeError(`${op} is not made of cells`)
  }
}

/** The mean that was kept is exact where the sum overflows; with infinities the sum tells. */
const average = ({ sum, count, mean }: Cell): number => (Number.isFinite(mean) ? mean : sum / count)

/** Linear between the two nearest; the values are sorted in place. */
export function quantile(q: number, values: Float64Array): number {
  if (values.length === 0 || Number.isNaN(q)) return Number.NaN
  if (q < 0) return Number.NEGATIVE_INFINITY
  if (q > 1) return Number.POSITIVE_INFINITY
  values.sort()
  // Go sorts NaN first, Float64Array last.
  const strange = values.length - values.findLastIndex((value) => !Number.isNaN(value)) - 1
  const at = (index: number): number => values[(index - strange + values.length) % values.length]!
  const rank = q * (values.length - 1)
  const lower = Math.floor(rank)
  const weight = rank - lower
  return at(lower) * (1 - weight) + at(Math.min(values.length - 1, lower + 1)) * weight
}

/**
 * Per second, as Prometheus' rate: resets of the counter are made up for, and what lies between the samples and the window's edges is
 * extrapolated. The samples are in order of time.
 *
 * @param end of the window, nanoseconds
 */
export function counterRate(samples: readonly TimedValue[], range: bigint, end: bigint): number {
  if (samples.length < 2) return 0
  const first = samples[0]!
  const last = samples.at(-1)!
  let increase = last.value - first.value
  let before = 0
  for (const { value } of samples) {
    if (value < before) increase += before
    before = value
  }
  const sampled = Number(last.time - first.time) / 1e9
  const average = sampled / (samples.length - 1)
  const threshold = average * 1.1
  let toStart = Number(first.time - (end - range)) / 1e9
  let toEnd = Number(end - last.time) / 1e9
  if (toStart >= threshold) toStart = average / 2
  // A counter is never below zero: it began where it was zero at the latest.
  if (increase > 0 && first.value >= 0) toStart = Math.min(toStart, sampled * (first.value / increase))
  if (toEnd >= threshold) toEnd = average / 2
  return (increase * ((sampled + toStart + toEnd) / sampled)) / (Number(range) / 1e9)
}
