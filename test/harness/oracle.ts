/**
 * Compares what was generated with what can be read back, record by record: a counter for each container and number. A sum of lines
 * alone would not tell one missing and one doubled line from none.
 */
import { checkText } from 'tributary/generate/content.ts'
import { type ContainerTruth, type GenerationTruth, sourceOf, type Truth } from 'tributary/generate/truth.ts'

export interface ReadEntry {
  /** Nanoseconds since 1970, decimal. */
  readonly timestamp: string
  readonly line: string
}

export interface Verdict {
  readonly expected: number
  readonly read: number
  readonly missing: number
  readonly doubled: number
  /** Lines that are not as they were generated. */
  readonly corrupted: number
  /** Lines behind a line that was written after them. */
  readonly reordered: number
  /** Lines that are whole but of another container, or with a number that was never written. */
  readonly foreign: number
  /** Lines that were read back although they are reported as lost. */
  readonly wronglyLost: number
  /** The first few of each, for people. */
  readonly examples: readonly string[]
}

const maxExamples = 20

export class Oracle {
  readonly #truth: Truth
  /** How often each number of each container was seen, up to 255. */
  readonly #seen: Uint8Array[]
  /** The highest number seen, of stdout and stderr together: their times never repeat. */
  readonly #last: number[]
  readonly #examples: string[] = []
  #read = 0
  #corrupted = 0
  #reordered = 0
  #foreign = 0

  constructor(truth: Truth) {
    this.#truth = truth
    this.#seen = truth.containers.map(({ lines }) => new Uint8Array(lines))
    this.#last = truth.containers.map(() => -1)
  }

  /** Takes one line that was read back for a container, in the order in which it was given. */
  add(container: number, entry: ReadEntry): void {
    this.#read++
    const where = `container ${container}, ${entry.timestamp}`
    const checked = checkText(entry.line)
    if (checked === undefined) {
      this.#corrupted++
      this.#example(`corrupted: ${where}: ${entry.line.length} characters: ${entry.line.slice(0, 160)}`)
      return
    }
    const seen = this.#seen[container]!
    if (checked.container !== container || checked.seq >= seen.length) {
      this.#foreign++
      this.#example(`foreign: ${where}: ${entry.line.slice(0, 80)}`)
      return
    }
    const before = seen[checked.seq]!
    seen[checked.seq] = Math.min(before + 1, 255)
    if (before > 0) this.#example(`doubled: ${where}: seq ${checked.seq}`)
    else this.#order(container, checked.seq, where)
  }

  #order(container: number, seq: number, where: string): void {
    const last = this.#last[container]!
    if (seq < last) {
      this.#reordered++
      this.#example(`reordered: ${where}: seq ${seq} after ${last}`)
    }
    this.#last[container] = Math.max(seq, last)
  }

  #example(text: string): void {
    if (this.#examples.length < maxExamples) this.#examples.push(text)
  }

  /** Numbers that were written and not read back, by container. */
  missing(): number[][] {
    return this.#seen.map((seen) => Array.from(seen.keys()).filter((seq) => seen[seq] === 0))
  }

  /** @param excused numbers by container whose absence, and only their absence, is as it should be */
  verdict(excused: readonly ReadonlySet<number>[] = []): Verdict {
    let [missing, doubled, wronglyLost] = [0, 0, 0]
    const examples = [...this.#examples]
    this.#seen.forEach((seen, container) => {
      const absent: number[] = []
      for (let seq = 0; seq < seen.length; seq++) {
        if (seen[seq]! > 1) doubled += seen[seq]! - 1
        if (seen[seq] === 0 && !excused[container]?.has(seq)) absent.push(seq)
        if (seen[seq]! > 0 && excused[container]?.has(seq)) {
          wronglyLost++
          if (examples.length < maxExamples)
            examples.push(`there though reported lost: container ${container}, seq ${seq}`)
        }
      }
      missing += absent.length
      if (absent.length > 0 && examples.length < maxExamples) {
        const { path } = generationOf(this.#truth.containers[container]!, absent[0]!)!
        examples.push(`missing: container ${container}: ${describeRuns(absent)}; the first in ${path}`)
      }
    })
    return {
      expected: this.#truth.containers.reduce((sum, { lines }) => sum + lines, 0),
      read: this.#read,
      missing,
      doubled,
      corrupted: this.#corrupted,
      reordered: this.#reordered,
      foreign: this.#foreign,
      wronglyLost,
      examples,
    }
  }
}

function generationOf({ generations }: ContainerTruth, seq: number): GenerationTruth | undefined {
  return generations.find(({ firstSeq, starts }) => seq >= firstSeq && seq < firstSeq + starts.length)
}

/** `3-17, 40` */
export function describeRuns(numbers: readonly number[]): string {
  const runs: [number, number][] = []
  for (const n of numbers) {
    const last = runs.at(-1)
    if (last && last[1] + 1 === n) last[1] = n
    else runs.push([n, n])
  }
  const shown = runs.slice(0, 10).map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`))
  return `${numbers.length} (${shown.join(', ')}${runs.length > 10 ? ', …' : ''})`
}

type Ranges = readonly (readonly [number, number])[]

/** What the audit says about one source. */
export interface AccountedSource {
  readonly source: string
  readonly seen: number
  readonly stored: Ranges
  readonly filtered: readonly { readonly reason: string; readonly ranges: Ranges }[]
  readonly lost: readonly { readonly reason: string; readonly ranges: Ranges }[]
}

/** The numbers, by container, of the records that begin within ranges which the audit reports as lost. */
export function lostRecords(
  truth: Truth,
  identity: { cluster: string; node: string },
  sources: readonly AccountedSource[],
): { lost: Set<number>[]; unknownSources: number } {
  const bySource = new Map(sources.map((one) => [one.source, one]))
  let unknownSources = 0
  const lost = truth.containers.map((container) => {
    const numbers = new Set<number>()
    for (const generation of container.generations) {
      if (generation.bytes === 0) continue
      const account = bySource.get(sourceOf(container, generation, identity).toString('hex'))
      if (account === undefined) unknownSources++
      const ranges = account?.lost.flatMap(({ ranges }) => ranges) ?? []
      generation.starts.forEach((start, i) => {
        if (ranges.some(([first, end]) => start >= first && start < end)) numbers.add(generation.firstSeq + i)
      })
    }
    return numbers
  })
  return { lost, unknownSources }
}
