/**
 * Sets of byte ranges. A range is half open, `[first, end)`, in bytes of one source. A set is sorted, its ranges neither overlap
 * nor touch, so that "all of 0..n" is exactly one range however it was put together.
 */
export type ByteRange = readonly [first: number, end: number]
export type ByteRanges = readonly ByteRange[]

/** The union of a set and one more range. An empty range changes nothing. */
export function addRange(ranges: ByteRanges, [first, end]: ByteRange): ByteRanges {
  if (end <= first) return ranges
  const last = ranges[ranges.length - 1]
  if (last === undefined || first > last[1]) return [...ranges, [first, end]]
  if (first >= last[0]) return end <= last[1] ? ranges : [...ranges.slice(0, -1), [last[0], end]]
  const before = ranges.filter((r) => r[1] < first)
  const after = ranges.filter((r) => r[0] > end)
  const touched = ranges.slice(before.length, ranges.length - after.length)
  const merged: ByteRange = [Math.min(first, touched[0]?.[0] ?? first), Math.max(end, touched.at(-1)?.[1] ?? end)]
  return [...before, merged, ...after]
}

/** The parts of `[first, end)` that the set does not cover. */
export function uncovered(ranges: ByteRanges, [first, end]: ByteRange): ByteRange[] {
  const parts: ByteRange[] = []
  let at = first
  for (const [a, b] of ranges) {
    if (b <= at) continue
    if (a >= end) break
    if (a > at) parts.push([at, a])
    at = b
  }
  if (at < end) parts.push([at, end])
  return parts
}

export function unionOf(...sets: readonly ByteRanges[]): ByteRanges {
  return sets.flat().reduce<ByteRanges>(addRange, [])
}

export function totalBytes(ranges: ByteRanges): number {
  return ranges.reduce((sum, [first, end]) => sum + end - first, 0)
}
