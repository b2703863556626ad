/** What people ask, and the lines that it is asked of. */
import { Access, forRead } from '@tributary/aggregator/access/access.ts'
import { AccessError } from '@tributary/aggregator/access/access-error.ts'
import { Credentials, parseAuthorization } from '@tributary/aggregator/access/credentials.ts'
import {
  ParameterError,
  parseTime,
  readDirection,
  readInterval,
  readLimit,
  readStep,
  readTimeRange,
} from '@tributary/aggregator/api/params.ts'
import type { LogExpression } from '@tributary/aggregator/logql/ast.ts'
import { LogqlError, QueryError } from '@tributary/aggregator/logql/error.ts'
import { parseQuery, parseSelectorQuery } from '@tributary/aggregator/logql/parser.ts'
import { compileStages } from '@tributary/aggregator/logql/pipeline/compile.ts'
import type { CompiledStage } from '@tributary/aggregator/logql/pipeline/stage.ts'
import { WorkingEntry } from '@tributary/aggregator/logql/pipeline/working-entry.ts'
import { plan } from '@tributary/aggregator/logql/plan.ts'
import fc from 'fast-check'
import type { Target } from '../fuzz.ts'
import { textLike } from '../inputs.ts'
import { target } from './target.ts'

const logql = [
  '{a="b"} |= "c"',
  'sum(rate({a="b"}[5m]))',
  '{a="b", c=~"d|e.*", f!="g"} |= "x" or "y" !~ `z+` | json | logfmt | status >= 400 and (a="b" or c!="d") | line_format "{{.a}}" | drop a, b="c"',
  'sum by (a, b) (rate({a="b"} | unwrap bytes(size) [5m] offset 1h)) / 2 ^ -1 > bool 3',
  'topk(3, quantile_over_time(0.9, {a="b"} | regexp `(?P<x>\\w+)` | unwrap x | __error__="" [1m])) without (c)',
  'label_replace(vector(1), "a", "$1", "b", "(.*)") or on (a) group_left (b) count_over_time({a=""}[1w2d3h4m5s6ms])',
]

const shownLines = [
  '{"a": {"b": [1, "x"]}, "c": null, "_entry": "e", "d": "\\u00e9\\ud83d"}',
  'level=info msg="a \\" b" size=10kb took=1h2m ip=10.0.0.1 =x y=',
  '10.1.2.3 - - [01/Jan/2026] "GET /x HTTP/1.1" 200 \u001b[31m5\u001b[0m',
]
const everyStage = [
  '| json | logfmt --strict --keep-empty | unpack | regexp `(?P<x>\\w+)=(?P<y>.*)` | pattern "<a> - <_> [<t>] <r>" | decolorize',
  '| json p="a.b[0]", q="[\\"c\\"]" | logfmt m="msg" | line_format `{{.a | ToUpper}} {{ __line__ | trunc 3 }} {{ .size | bytes }}`',
  '| logfmt | label_format n=`{{ .level }}{{ regexReplaceAll "(a+)" .msg "$1" }}`, o=level | size > 5KB or took <= 1m or status != 2.5',
  '| ip = ip("10.0.0.0/8") |= ip("10.1.2.3-10.1.2.9") !~ `z.*` |> "<_>GET <_>" | keep a, b="x" | drop c, __error__=~".+"',
].map((stages) => compileStages((parseQuery(`{a="b"} ${stages}`) as LogExpression).stages))

function runStages(stages: CompiledStage, line: string): void {
  const entry = new WorkingEntry()
  entry.begin(5n, line, new Map([['a', 'b']]), new Map([['trace_id', 'c']]))
  stages(entry)
}

const access = new Access(new Credentials([{ name: 'a', token: 't', roles: ['read'], tenants: ['*'] }]), true)

export const queryTargets: readonly Target[] = [
  target('LogQL', textLike(logql), [LogqlError], (text) => plan(parseQuery(text))),
  target('stages of any query, on a line', textLike(logql), [LogqlError, QueryError], (text) => {
    const expression = parseQuery(text)
    if (expression.kind === 'log')
      runStages(compileStages(expression.stages), '{"status": "500", "a": {"b": [1]}} size=10kb a="b"')
  }),
  target('lines, in every stage', textLike(shownLines), [], (line) => {
    for (const stages of everyStage) runStages(stages, line)
  }),
  target('selectors', textLike(['{a="b", c=~"d|e", f!~`g`}', '{}']), [LogqlError], parseSelectorQuery),
  target(
    'parameters of queries',
    fc.dictionary(
      fc.constantFrom('start', 'end', 'since', 'step', 'interval', 'limit', 'direction'),
      textLike(['1700000000', '1.5', '2026-01-01T00:00:00.5+01:00', '1h30m', '-5', '1e300', 'forward']),
    ),
    [ParameterError],
    (pairs) => {
      const parameters = new URLSearchParams(pairs)
      const range = readTimeRange(parameters, 1_700_000_000_000_000_000n)
      readLimit(parameters)
      readDirection(parameters)
      readInterval(parameters)
      readStep(parameters, range)
    },
  ),
  target(
    'times of queries',
    textLike(['1700000000', '1.5', '17e3', '2026-01-01T00:00:00.5+01:00']),
    [ParameterError],
    parseTime,
  ),
  target(
    'who asks, and for whom',
    fc.tuple(textLike(['Bearer t', 'Basic dTpw']), textLike(['a|b', "x.y!-_*'()"])),
    [AccessError],
    ([authorization, tenant]) => {
      parseAuthorization(authorization)
      access.grant({ authorization, 'x-scope-orgid': tenant }, forRead)
    },
  ),
]
