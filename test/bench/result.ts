/** What a bench found, and how it is written down. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What performance asks for: at least, or at most. */
  readonly goal?: { readonly atLeast: number } | { readonly atMost: number }
  /** What is known about why the goal may not be reached. */
  readonly note?: string
}

export interface BenchResult {
  readonly bench: string
  /** What was run, in a sentence. */
  readonly what: string
  readonly figures: readonly Figure[]
}

export function verdict({ value, goal }: Figure): 'reached' | 'missed' | '' {
  if (goal === undefined) return ''
  const reached = 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost
  return reached ? 'reached' : 'missed'
}

export function formatGoal({ goal, unit }: Figure): string {
  if (goal === undefined) return ''
  return 'atLeast' in goal ? `>= ${formatValue(goal.atLeast)} ${unit}` : `<= ${formatValue(goal.atMost)} ${unit}`
}

/** Three digits, with separators: what a measurement on a shared machine is good for. */
export function formatValue(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  const rounded = value >= 1000 ? Number(value.toPrecision(3)) : value
  return rounded.toLocaleString('en-US', { maximumFractionDigits: digits })
}

export function table(results: readonly BenchResult[]): string {
  const rows = results.flatMap(({ bench, figures }) =>
    figures.map(
      (figure) =>
        `| ${bench} | ${figure.name} | ${formatValue(figure.value)} ${figure.unit} | ${formatGoal(figure)} | ${verdict(figure)} |`,
    ),
  )
  return ['| bench | figure | measured | goal | |', '|---|---|---|---|---|', ...rows].join('\n')
}
