/** What differs between what a case expects and what came of its lines. Pure. */
import type { RecordTrace } from '../filter/trace.ts'
import { type Expectation, expectationsOf, type GoldenCase } from './golden-config.ts'
import type { CaseRun, Outcome } from './run-cases.ts'

/** Lines for people: `-` is what was expected, `+` what came. */
export type Difference = readonly string[]

/** Empty when all is as expected. */
export function compareCase(golden: GoldenCase, { outcomes, excludedBy, problems }: CaseRun): Difference {
  const expected = expectationsOf(golden)
  const told = problems.map((problem) => `  ${problem}`)
  if (excludedBy !== undefined) {
    const fine = expected.every(({ dropped }) => dropped === true || dropped === 'exclude')
    return fine ? told : [...told, `  nothing of the log is read: excluded by ${excludedBy}`]
  }
  const rows = Array.from({ length: Math.max(expected.length, outcomes.length) }, (_, i) => {
    const difference = compareRecord(expected[i], outcomes[i])
    return difference.length === 0 ? [] : [`  record ${i + 1}`, ...difference.map((row) => `    ${row}`)]
  })
  return [...told, ...rows.flat()]
}

function compareRecord(expected: Expectation | undefined, outcome: Outcome | undefined): string[] {
  if (outcome === undefined)
    return [`- ${describeExpectation(expected!)}`, '+ no record: were its lines joined with those before?']
  const { trace, stream } = outcome
  if (expected === undefined) return ['- no record', `+ ${describeOutcome(trace)}`]
  const drop = trace.stages.find(({ outcome }) => outcome === 'dropped')
  if (expected.dropped !== undefined || drop !== undefined) {
    const fine = drop !== undefined && expected.dropped !== undefined && [true, drop.stage].includes(expected.dropped)
    return fine ? [] : [`- ${describeExpectation(expected)}`, `+ ${describeOutcome(trace)}`]
  }
  const { line, attributes } = trace.after!
  return [
    ...(expected.line === undefined || expected.line === line ? [] : differ('line', expected.line, line)),
    ...(expected.attributes === undefined
      ? []
      : compareTexts('attributes', allOf(expected.attributes, attributes), attributes)),
    ...compareTexts('metadata', expected.metadata ?? {}, stream.metadata),
    ...compareTexts('labels', expected.labels ?? {}, stream.labels),
  ]
}

type Texts = Readonly<Record<string, string | null>>

/** What is there and was not expected shall not be there. */
function allOf(expected: Texts, found: Texts): Texts {
  return { ...Object.fromEntries(Object.keys(found).map((name) => [name, null])), ...expected }
}

/** Of what is named; null: it is not there. */
function compareTexts(what: string, expected: Texts, found: Texts): string[] {
  return Object.entries(expected).flatMap(([name, value]) => {
    const actual = Object.hasOwn(found, name) ? found[name]! : null
    return actual === value ? [] : differ(`${what}.${name}`, value, actual)
  })
}

function differ(what: string, expected: string | null, found: string | null): string[] {
  return [`- ${what}: ${show(expected)}`, `+ ${what}: ${show(found)}`]
}

function show(text: string | null): string {
  return text === null ? 'not there' : JSON.stringify(text)
}

function describeExpectation({ dropped, line }: Expectation): string {
  if (dropped === true) return 'dropped'
  if (dropped !== undefined) return `dropped by ${dropped}`
  return line === undefined ? 'a record' : `line: ${show(line)}`
}

function describeOutcome({ stages, after }: RecordTrace): string {
  const drop = stages.find(({ outcome }) => outcome === 'dropped')
  return drop === undefined ? `line: ${show(after!.line)}` : `dropped by ${drop.stage}`
}
