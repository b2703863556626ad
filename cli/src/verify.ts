/** `tributary verify`: writes marked lines to its own output, which a collector reads, and finds each of them in the store. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseDuration } from '@tributary/protocol/units.ts'
import { ApiClient, ApiError, type Entry } from './api-client.ts'
import type { Print } from './query.ts'

export interface VerifyOptions {
  readonly addr: string
  readonly lines: number
  /** How long all of them may take to be found. */
  readonly timeout: string
  /** For how long after that none may come a second time. */
  readonly settle: string
  /** `name=value` of stream labels and structured metadata that every line must have. */
  readonly expect: readonly string[]
}

/** What the store has of the lines that were written. */
export interface Found {
  readonly missing: number
  /** Lines that are there more than once. */
  readonly doubled: number
  /** What is wrong with labels or metadata, each problem once. */
  readonly problems: readonly string[]
}

/** Stream labels that a selector may name; whatever else is expected is structured metadata. */
const selecting = ['namespace', 'pod', 'container']
const pollInterval = 1000

const markedLine = (run: string, number: number) => `tributary verify run=${run} line=${number}`

/** True when every line was found once, with what is expected of it. Says in a sentence what came of it. */
export async function runVerify(options: VerifyOptions, print: Print, now: () => number = Date.now): Promise<boolean> {
  const [timeout, settle] = [milliseconds('--timeout', options.timeout), milliseconds('--settle', options.settle)]
  const expected = new Map(options.expect.map(pair))
  const run = randomBytes(8).toString('hex')
  const began = now()
  for (let number = 1; number <= options.lines; number++) print(markedLine(run, number))
  const client = new ApiClient(options.addr)
  const look = async () =>
    judge(await linesOf(client, run, expected, options.lines, began), run, options.lines, expected)

  let found: Found | undefined
  let unreachable: ApiError | undefined
  while (now() - began < timeout && found?.missing !== 0) {
    try {
      found = await look()
      unreachable = undefined
    } catch (error) {
      // While a cluster starts there may be nobody there; a refusal stays one until the time is over.
      if (!(error instanceof ApiError)) throw error
      unreachable = error
    }
    if (found?.missing !== 0) await sleep(pollInterval)
  }
  if (unreachable !== undefined) throw unreachable
  if (found?.missing === 0) {
    await sleep(settle)
    found = await look()
  }
  for (const line of report(found ?? { missing: options.lines, doubled: 0, problems: [] }, options)) print(line)
  return found !== undefined && found.missing + found.doubled + found.problems.length === 0
}

async function linesOf(
  client: ApiClient,
  run: string,
  expected: ReadonlyMap<string, string>,
  lines: number,
  began: number,
): Promise<Entry[]> {
  const matchers = selecting.filter((name) => expected.has(name)).map((name) => `${name}=${quote(expected.get(name)!)}`)
  const selector = matchers.length === 0 ? 'stream=~".+"' : matchers.join(', ')
  // Clocks of nodes differ a little. The API gives times as nanoseconds.
  const range = { start: BigInt(began - 300_000) * 1_000_000n, end: BigInt(Date.now() + 300_000) * 1_000_000n }
  const entries: Entry[] = []
  // As many again show whether there are doubles.
  for await (const page of client.entries(`{${selector}} |= ${quote(`run=${run} line=`)}`, range, 2 * lines, 'forward'))
    entries.push(...page)
  return entries
}

/** Pure. What is not a line of this run is left aside. */
export function judge(
  entries: readonly Entry[],
  run: string,
  lines: number,
  expected: ReadonlyMap<string, string>,
): Found {
  const times = new Map<string, number>()
  const problems = new Set<string>()
  const written = new Set(Array.from({ length: lines }, (_, i) => markedLine(run, i + 1)))
  for (const { line, labels } of entries) {
    if (!written.has(line)) {
      if (line.includes(run)) problems.add(`a line was changed: ${line}`)
      continue
    }
    times.set(line, (times.get(line) ?? 0) + 1)
    for (const [name, value] of expected) {
      if (labels[name] !== value) problems.add(`${name} is ${labels[name] ?? 'not there'}, and should be ${value}`)
    }
  }
  const doubled = [...times.values()].filter((count) => count > 1).length
  return { missing: lines - times.size, doubled, problems: [...problems].slice(0, maxProblems) }
}

/** More of them would tell nothing more. */
const maxProblems = 20

function report({ missing, doubled, problems }: Found, { lines, timeout, expect }: VerifyOptions): string[] {
  if (missing + doubled + problems.length === 0) {
    const metadata = expect.length === 0 ? '' : `, with ${expect.length} labels and metadata as expected`
    return [`${lines} of ${lines} lines found, each once${metadata}.`]
  }
  return [
    ...problems,
    ...(doubled > 0 ? [`${doubled} of ${lines} lines are there more than once.`] : []),
    ...(missing > 0
      ? [
          `${missing} of ${lines} lines were not found within ${timeout}. Ask the collector of this node: tributary why <namespace>/<pod>`,
        ]
      : []),
  ]
}

function pair(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0) throw new Error(`--expect: "${text}" is no name=value`)
  return [text.slice(0, at), text.slice(at + 1)]
}

function milliseconds(option: string, text: string): number {
  const value = parseDuration(text)
  if (value === undefined)
    throw new Error(`${option}: "${text}" is not a duration: write numbers and units, such as 3m`)
  return value
}

const quote = (text: string) => JSON.stringify(text)
