/**
 * Time of the processor that searching one line may take. Each match of an expression costs at most as much as the line is long, but
 * there may be as many matches as bytes: `a+b|a` looks through all the rest of a line of a's for each of them.
 */
export class TimeBudget {
  readonly #limit: number
  readonly #cpu: () => number
  readonly #wall: () => number
  #began: number | undefined
  /** Of the processor's time, once the clock on the wall says that it may be over. */
  #beganOnCpu: number | undefined

  /** @param limit ms; at most twice as much goes by before it is told to be over */
  constructor(limit: number, cpu: () => number = threadCpu, wall: () => number = () => performance.now()) {
    this.#limit = limit
    this.#cpu = cpu
    this.#wall = wall
  }

  /** To be called before each line; the time begins with the first question. */
  renew(): void {
    this.#began = this.#beganOnCpu = undefined
  }

  /** Whether the time is over. The processor's clock counts, as a limited container stands still most of the time; it costs 2 µs to ask. */
  get over(): boolean {
    this.#began ??= this.#wall()
    if (this.#wall() - this.#began <= this.#limit) return false
    this.#beganOnCpu ??= this.#cpu()
    return this.#cpu() - this.#beganOnCpu > this.#limit
  }
}

/** Time of this thread on the processor, ms. */
export function threadCpu(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
