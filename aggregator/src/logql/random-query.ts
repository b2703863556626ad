/** Random syntax trees for tests: everything the grammar allows and the validator accepts, without positions. */
import fc from 'fast-check'
import type { Expression } from './ast.ts'
import { rangeOperators } from './ast.ts'

/** Removes `at` from every node. */
export function withoutPositions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPositions)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'at')
      .map(([key, item]) => [key, withoutPositions(item)]),
  )
}

const name = fc.constantFrom('a', 'app', 'pod_uid', 'rate', 'größe', '__error__', 'Sum', 'x1')
const text = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
  fc.constantFrom('"', '\\', '`', '\n', '\0', '#', '//', '\udcff'),
)
const regex = fc.constantFrom('.*', 'a|b', '^x$', '(?i)foo', '[a-c]+', '\\d{2}', '')
const matcher = fc.oneof(
  fc.record({ name, op: fc.constantFrom('=', '!='), value: text }),
  fc.record({ name, op: fc.constantFrom('=~', '!~'), value: regex }),
)
const address = fc.constantFrom('10.0.0.1', '10.0.0.0/8', '10.0.0.1-10.0.0.9', '::1', '2001:db8::/32')
const duration = fc.bigInt({ min: 0n, max: 10n ** 17n })
const compare = fc.constantFrom('=', '!=', '>', '>=', '<', '<=')
const number = fc.double({ noNaN: true, noDefaultInfinity: true })
const positive = number.map((value) => Math.abs(value))

const { filter } = fc.letrec((tie) => ({
  filter: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constant('string'), matcher }),
    fc.record({ kind: fc.constant('ip'), name, op: fc.constantFrom('=', '!='), value: address }),
    fc.record({ kind: fc.constant('number'), name, op: compare, value: number }),
    fc.record({ kind: fc.constant('duration'), name, op: compare, value: duration }),
    fc.record({ kind: fc.constant('bytes'), name, op: compare, value: fc.nat() }),
    fc.record({ kind: fc.constantFrom('and', 'or'), left: tie('filter'), right: tie('filter') }),
  ),
}))

const alternatives = (value: fc.Arbitrary<string>, ip: boolean) =>
  fc.array(
    ip
      ? fc.oneof(fc.record({ value, ip: fc.constant(false) }), fc.record({ value: address, ip: fc.constant(true) }))
      : fc.record({ value, ip: fc.constant(false) }),
    { minLength: 1, maxLength: 3 },
  )
const kind = <K extends string>(value: K) => fc.constant(value)
const extractions = (path: fc.Arbitrary<string>) => fc.array(fc.record({ name, path }), { maxLength: 2 })
const choice = fc.oneof(
  fc.record({ name }),
  matcher.map((item) => ({ name: item.name, matcher: item })),
)
const template = fc.constantFrom('', 'x', '{{.a}} "b"', '{{if .a}}`x`{{end}}', '{{/* } */}}')
const plainName = name.filter((value) => value !== '__error__')
const assignment = fc.oneof(fc.record({ name: plainName, from: name }), fc.record({ name: plainName, template }))

const stage = fc.oneof(
  fc.record({ kind: kind('line'), op: fc.constantFrom('|=', '!='), alternatives: alternatives(text, true) }),
  fc.record({ kind: kind('line'), op: fc.constantFrom('|~', '!~'), alternatives: alternatives(regex, false) }),
  fc.record({
    kind: kind('line'),
    op: fc.constantFrom('|>', '!>'),
    alternatives: alternatives(fc.constantFrom('<_> x <_>', 'y', ''), false),
  }),
  fc.record({ kind: kind('json'), extractions: extractions(fc.constantFrom('a', 'a.b[0]', 'a["b c"]', '[1].x')) }),
  fc.record({
    kind: kind('logfmt'),
    strict: fc.boolean(),
    keepEmpty: fc.boolean(),
    extractions: extractions(fc.constantFrom('a', 'b.c')),
  }),
  fc.record({ kind: kind('regexp'), pattern: fc.constantFrom('(?P<m>.*)', 'x(?P<a>\\d)(?P<b>"|`)') }),
  fc.record({ kind: kind('pattern'), pattern: fc.constantFrom('<a> - <_>', '"<x>"') }),
  fc.record({ kind: fc.constantFrom('unpack', 'decolorize') }),
  fc.record({ kind: kind('label'), filter }),
  fc.record({ kind: kind('line_format'), template }),
  fc.record({
    kind: kind('label_format'),
    assignments: fc.uniqueArray(assignment, { minLength: 1, maxLength: 3, selector: (item) => item.name }),
  }),
  fc.record({ kind: fc.constantFrom('drop', 'keep'), choices: fc.array(choice, { minLength: 1, maxLength: 3 }) }),
)

/** `drop a != "x"` is a name on condition, so a line filter of that operator cannot follow a bare name. */
function isAmbiguous(item: { kind: string }, next: { kind: string } | undefined): boolean {
  const bare = 'choices' in item && !('matcher' in (item.choices as object[]).at(-1)!)
  return bare && next !== undefined && 'op' in next && (next.op === '!=' || next.op === '!~')
}

const log = fc
  .tuple(
    fc.record({ name, op: kind('='), value: kind('v') }),
    fc.array(matcher, { maxLength: 2 }),
    fc.array(stage, { maxLength: 4 }),
  )
  .filter(([, , stages]) => !stages.some((item, i) => isAmbiguous(item, stages[i + 1])))
  .map(([first, rest, stages]) => ({ kind: 'log', matchers: [first, ...rest], stages }))
const grouping = fc.record({ without: fc.boolean(), labels: fc.array(name, { maxLength: 2 }) })
const unwrap = fc.record(
  {
    label: name,
    conversion: fc.constantFrom('bytes', 'duration', 'duration_seconds'),
    filters: fc.array(filter, { maxLength: 2 }),
  },
  { requiredKeys: ['label', 'filters'] },
)
/** Ranges have no unit below milliseconds. */
const rangeDuration = duration.map((value) => value - (value % 1_000_000n))
const range = fc.constantFrom(...rangeOperators).chain((op) => {
  const counted = ['count_over_time', 'bytes_over_time', 'bytes_rate'].includes(op)
  const either = op === 'rate' || op === 'absent_over_time'
  const grouped = !counted && !either && op !== 'sum_over_time' && op !== 'rate_counter'
  return fc.record(
    {
      kind: kind('range'),
      op: kind(op),
      ...(op === 'quantile_over_time' && { parameter: positive }),
      log,
      ...(!counted && { unwrap }),
      range: rangeDuration,
      offset: fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
      ...(grouped && { grouping }),
    },
    {
      noNullPrototype: true,
      requiredKeys: [
        ...(['kind', 'op', 'log', 'range', 'offset'] as const),
        ...(op === 'quantile_over_time' ? ['parameter' as never] : []),
        ...(either || counted ? [] : ['unwrap' as never]),
      ],
    },
  )
})

const binaryOf = (leg: fc.Arbitrary<unknown>) => {
  const labels = fc.array(name, { maxLength: 2 })
  const matching = fc.record({ on: fc.boolean(), labels })
  const group = fc.record({ side: fc.constantFrom('left', 'right'), include: labels })
  const operation = { kind: kind('binary'), left: leg, right: leg, bool: fc.boolean() }
  const op = fc.constantFrom('+', '-', '*', '/', '%', '^', '==', '!=', '>', '>=', '<', '<=')
  const isNumber = (leg: unknown) => (leg as Expression).kind === 'literal'
  return fc
    .oneof(
      fc.record({ ...operation, op }),
      fc.record({ ...operation, op, matching }),
      fc.record({ ...operation, op, matching, group }),
    )
    .filter(({ left, right }) => !isNumber(left) || !isNumber(right)) // it would be a number
}

const { metric } = fc.letrec((tie) => ({
  metric: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    range,
    fc.record({ kind: kind('literal'), value: number }),
    fc.record({ kind: kind('vector'), value: positive }),
    fc.record(
      {
        kind: kind('vector aggregation'),
        op: fc.constantFrom('sum', 'avg', 'min', 'max', 'count', 'stddev', 'stdvar'),
        grouping,
        inner: tie('metric'),
      },
      { requiredKeys: ['kind', 'op', 'inner'] },
    ),
    fc.record(
      {
        kind: kind('vector aggregation'),
        op: fc.constantFrom('topk', 'bottomk'),
        parameter: fc.integer({ min: 1 }),
        grouping,
        inner: tie('metric'),
      },
      { requiredKeys: ['kind', 'op', 'parameter', 'inner'] },
    ),
    fc.record({ kind: kind('vector aggregation'), op: fc.constantFrom('sort', 'sort_desc'), inner: tie('metric') }),
    binaryOf(tie('metric')),
    fc.record({
      kind: kind('label_replace'),
      inner: tie('metric'),
      destination: fc.constantFrom('x', '_y'),
      replacement: text,
      source: text,
      pattern: regex,
    }),
  ),
}))

export const anyExpression = fc.oneof(log, metric) as unknown as fc.Arbitrary<Expression>
