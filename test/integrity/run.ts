/** What the integrity runs share: a seed that is printed, the generator as a process of its own, and the final comparison. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GenerateFlags } from 'tributary/generate/command.ts'
import { decodeTruth, type Truth, totals } from 'tributary/generate/truth.ts'
import type { Verdict } from '../harness/oracle.ts'
import { ManagedProcess, type Pipeline, until } from '../harness/processes.ts'
import { type Asked, type AuditAnswer, judge, settle } from '../harness/read-back.ts'

/** `SEED=n npm test` repeats a run's decisions, though not its timing. */
export function chooseSeed(): number {
  const given = process.env['SEED']
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
}

/** For runs of minutes: prints how far one is, with the seed, so that one that hangs tells where. */
export function progress(seed: number): (what: string) => void {
  const begun = performance.now()
  return (what) => console.log(`seed ${seed}, after ${seconds(performance.now() - begun)} s: ${what}`)
}

export type Load = Partial<Omit<GenerateFlags, 'out' | 'summary'>> & { readonly namespace: string }

/** The load generator as a process: it writes on, whatever happens to the test's own. */
export class Writer {
  readonly #process: ManagedProcess
  readonly #summary: string

  constructor(pipeline: Pick<Pipeline, 'root' | 'logs'>, load: Load) {
    this.#summary = join(pipeline.root, `${load.namespace}.json`)
    const flags: Record<string, string | number> = { out: pipeline.logs, summary: this.#summary, ...load }
    if (load.duration !== undefined) flags['duration'] = `${load.duration}ms`
    if (load.gap !== undefined) flags['gap'] = `${load.gap}ms`
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${kebab(name)}`, String(value)])
    const main = fileURLToPath(import.meta.resolve('tributary/main.ts'))
    this.#process = new ManagedProcess({
      name: load.namespace,
      args: [main, 'generate', ...args],
      logFile: join(pipeline.root, `${load.namespace}.out`),
    })
    this.#process.start()
  }

  get writing(): boolean {
    return this.#process.running
  }

  /** What it wrote, when it is done. */
  async truth(deadlineMs = 120_000): Promise<Truth> {
    await until(
      () => !this.writing,
      deadlineMs,
      () => `the generator still writes: ${this.#process.output}`,
    )
    return decodeTruth(readFileSync(this.#summary, 'utf8'))
  }

  /** Ends writing early. */
  async finish(): Promise<Truth> {
    await this.#process.stop('SIGINT')
    return await this.truth()
  }

  /** A run that failed leaves nobody behind who writes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.kill()
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

export interface Outcome {
  readonly verdicts: readonly Verdict[]
  readonly audit: AuditAnswer
  /** One line of figures for people. */
  readonly figures: string
  /** How many of all kinds there were. */
  readonly events: number
}

/** Waits until calm, reads everything back and compares. */
export async function conclude(
  pipeline: Asked & Pick<Pipeline, 'root'>,
  truths: readonly Truth[],
  what: { readonly name: string; readonly seed: number; readonly events?: Readonly<Record<string, number>> },
  deadlineMs = 60_000,
): Promise<Outcome> {
  const begun = performance.now()
  const audit = await settle(pipeline, truths, deadlineMs)
  const settled = performance.now()
  const verdicts: Verdict[] = []
  for (const truth of truths) verdicts.push(await judge(pipeline, truth, audit))
  const sum = (of: (verdict: Verdict) => number) => verdicts.reduce((total, verdict) => total + of(verdict), 0)
  const generations = truths.reduce((total, truth) => total + totals(truth).generations, 0)
  const { seenBytes, storedBytes, filteredBytes, lostBytes } = audit.totals
  const figures = [
    `${what.name}: seed ${what.seed}`,
    `${sum((v) => v.expected)} lines in ${generations} generations`,
    ...Object.entries(what.events ?? {}).map(([name, count]) => `${count} ${name}`),
    `read back ${sum((v) => v.read)}`,
    `missing ${sum((v) => v.missing)}`,
    `doubled ${sum((v) => v.doubled)}`,
    `corrupted ${sum((v) => v.corrupted)}`,
    `reordered ${sum((v) => v.reordered)}`,
    `audit: read ${seenBytes} = stored ${storedBytes} + filtered ${filteredBytes} + lost ${lostBytes} bytes`,
    `calm after ${seconds(settled - begun)} s, compared in ${seconds(performance.now() - settled)} s`,
  ].join(', ')
  console.log(figures)
  if (!isSound(verdicts, audit)) keepEvidence(pipeline, verdicts, audit)
  const events = Object.values(what.events ?? {}).reduce((total, count) => total + count, 0)
  return { verdicts, audit, figures, events }
}

/** Nothing missing, doubled, damaged or out of order, nothing lost, and the audit agrees. */
export function isSound(verdicts: readonly Verdict[], { ok, caughtUp, totals }: AuditAnswer): boolean {
  const whole = verdicts.every(
    (v) => v.missing + v.doubled + v.corrupted + v.reordered + v.foreign + v.wronglyLost === 0,
  )
  const { seenBytes, storedBytes, lostBytes, filteredBytes } = totals
  return whole && ok && caughtUp && lostBytes + filteredBytes === 0 && storedBytes === seenBytes
}

/** What must hold after every run: nothing wrong, and the audit says the same. */
export const wholeVerdict = {
  missing: 0,
  doubled: 0,
  corrupted: 0,
  reordered: 0,
  foreign: 0,
  wronglyLost: 0,
  examples: [],
}

/** `KEEP_TEST_DATA=1` keeps the directory; this puts beside it what the comparison found. */
function keepEvidence(pipeline: Pick<Pipeline, 'root'>, verdicts: readonly Verdict[], audit: AuditAnswer): void {
  const directory = join(pipeline.root, 'evidence')
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'verdicts.json'), JSON.stringify(verdicts, undefined, 2))
  writeFileSync(join(directory, 'audit.json'), JSON.stringify(audit))
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1)
}
