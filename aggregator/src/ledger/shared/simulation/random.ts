import { randomFrom } from '../../../../../test/harness/random.ts'

/** Whole numbers, decided by a seed. */
export class Random {
  /** From 0 to below n. */
  readonly next: (n: number) => number

  constructor(seed: number) {
    this.next = randomFrom(seed)
  }

  of<T>(list: readonly T[]): T {
    return list[this.next(list.length)]!
  }
}
