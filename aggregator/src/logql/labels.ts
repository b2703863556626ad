/** Label sets: names in order, no empty values. */

export type Labels = ReadonlyMap<string, string>

export const noLabels: Labels = new Map()

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Sorts by name and leaves out what is empty: in LogQL an absent label and an empty one are the same. */
export function labelsFrom(entries: Iterable<readonly [string, string]>): Labels {
  return new Map([...entries].filter(([, value]) => value !== '').sort(([a], [b]) => compareText(a, b)))
}

/** Equal for equal sets, and for no others. */
export const labelsKey = (labels: Labels): string => JSON.stringify([...labels])

/** As Prometheus orders label sets: by the first pair that differs. */
export function compareLabels(a: Labels, b: Labels): number {
  const left = [...a]
  const right = [...b]
  for (let i = 0; i < left.length && i < right.length; i++) {
    const order = compareText(left[i]![0], right[i]![0]) || compareText(left[i]![1], right[i]![1])
    if (order !== 0) return order
  }
  return left.length - right.length
}

export function filterLabels(labels: Labels, keep: (name: string, value: string) => boolean): Labels {
  return new Map([...labels].filter(([name, value]) => keep(name, value)))
}
