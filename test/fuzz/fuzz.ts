/** Runs one decoder on made-up input for as long as it is told. What it may do is give a result, or throw an error of its own types. */
import fc from 'fast-check'

export interface Target<Input = unknown> {
  readonly name: string
  readonly input: fc.Arbitrary<Input>
  /** What it may throw. Empty for a decoder that takes everything. */
  readonly errors: readonly (abstract new (
    ...parameters: never[]
  ) => Error)[]
  run(input: Input): unknown
}

export interface FuzzReport {
  readonly runs: number
  /** How many inputs gave a result, and how many an error. */
  readonly results: number
  readonly errors: number
  /** What went wrong, with the input and the seed that give it again; undefined when nothing did. */
  readonly failure: string | undefined
}

/** No input is longer than a few kilobytes: one that takes so long, ms, would stop a server. */
const patience = 2000

export async function fuzz(target: Target, seconds: number, seed = Date.now() & 0x7fffffff): Promise<FuzzReport> {
  const tally = { runs: 0, results: 0, errors: 0 }
  const property = fc.asyncProperty(target.input, async (input) => {
    tally.runs++
    const began = performance.now()
    try {
      await target.run(input)
      tally.results++
    } catch (error) {
      if (!target.errors.some((type) => error instanceof type)) throw error
      tally.errors++
    }
    const took = performance.now() - began
    if (took > patience) throw new Error(`took ${Math.round(took)} ms`)
  })
  const found = await fc.check(property, {
    seed,
    numRuns: 100_000_000,
    interruptAfterTimeLimit: seconds * 1000,
    markInterruptAsFailure: false,
  })
  if (!found.failed) return { ...tally, failure: undefined }
  const input = JSON.stringify(found.counterexample, (_, value) => value)
  const { errorInstance } = found as { errorInstance?: unknown }
  const error = errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance)
  return { ...tally, failure: `seed ${seed}, path ${found.counterexamplePath}, input ${input}\n${error}` }
}
