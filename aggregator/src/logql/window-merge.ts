/** Slides a window over cells without taking anything back out of a sum: two stacks, each cell merged twice at most. */
import { type Cell, mergeCells } from './range-functions.ts'
import type { BucketSteps } from './windows.ts'

/** The cell of each step; undefined where its window is empty. `cells` by bucket, in any order. */
export function mergeWindows(
  cells: ReadonlyMap<number, Cell>,
  steps: BucketSteps,
  points: number,
): (Cell | undefined)[] {
  const buckets = [...cells.keys()].sort((a, b) => a - b)
  const window = new CellQueue()
  const merged = new Array<Cell | undefined>(points).fill(undefined)
  let next = 0
  let oldest = 0
  for (let step = 0; step < points; step++) {
    for (; next < buckets.length && steps.first(buckets[next]!) <= step; next++) window.push(cells.get(buckets[next]!)!)
    for (; oldest < next && steps.last(buckets[oldest]!) < step; oldest++) window.shift()
    merged[step] = window.merged
  }
  return merged
}

class CellQueue {
  readonly #in: Cell[] = []
  #merged: Cell | undefined
  /** Each merged with all behind it; the oldest on top. */
  readonly #out: Cell[] = []

  push(cell: Cell): void {
    this.#in.push(cell)
    this.#merged = this.#merged ? mergeCells(this.#merged, cell) : cell
  }

  shift(): void {
    if (this.#out.length === 0) {
      for (let cell = this.#in.pop(); cell; cell = this.#in.pop()) {
        const behind = this.#out.at(-1)
        this.#out.push(behind ? mergeCells(cell, behind) : cell)
      }
      this.#merged = undefined
    }
    this.#out.pop()
  }

  get merged(): Cell | undefined {
    const oldest = this.#out.at(-1)
    if (!oldest) return this.#merged
    return this.#merged ? mergeCells(oldest, this.#merged) : oldest
  }
}
