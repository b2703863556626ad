/** Pipelines and metric queries put together by chance, over the kinds of lines in entries.ts. */
import { type Random, randomFrom } from '../../harness/random.ts'

const kinds = ['logfmt', 'access', 'num', 'meta', 'pack', 'nested', 'esc', 'color', 'json']

const stages = [
  '| json',
  '| logfmt',
  '| logfmt --keep-empty',
  '| logfmt --strict',
  '| unpack',
  '| pattern `<ip> - [<m> <p>] <c>`',
  '| pattern `<a>=<b> <_>`',
  '| regexp `(?P<w>\\w+)[= ](?P<v2>\\S*)`',
  '| regexp `(?P<n>\\d+)`',
  '| json n, a="a", r="request"',
  '| logfmt a, k="k", lvl="level"',
  '| decolorize',
  '| line_format `{{.a}}-{{.n}}-{{__line__ | trunc 10}}`',
  '| line_format `a={{.v}} b="{{.k}}" n={{.n}}`',
  '| label_format z=a',
  '| label_format a=`{{.n}}x`, q=k',
  '| label_format app=level',
  '| label_format n="7"',
  '| drop a, __error__, __error_details__',
  '| drop level="warn"',
  '| drop case',
  '| keep app, n, v, k',
  '| keep k=~"a|b", v',
  '| keep __error__',
  '|= "a"',
  '!= "b"',
  '|~ "[0-9]+"',
  '!~ `^\\s*$`',
  '|= "level" or "a"',
  '|> "<_>=<_>"',
  '!> "<_> <_>"',
  '|= ip("10.0.0.0/8")',
  '| (k="a" or v>2) and app="web"',
  '| n>1, k="a" or level="warn"',
  '| ip=ip("10.0.0.0/8")',
  '| ip!=ip("1.1.1.1")',
]

const from = <T>(random: Random, all: readonly T[]): T => all[random(all.length)]!

function stage(random: Random): string {
  const pick = (...all: readonly string[]) => from(random, all)
  switch (random(stages.length + 12)) {
    case 0:
    case 1:
    case 2:
      return `| ${pick('n', 'v', 'a', 'code', 'k', 'status')} ${pick('>', '<', '>=', '<=', '==', '!=')} ${pick('1', '5', '2.5', '-3')}`
    case 3:
    case 4:
      return `| ${pick('d', 'lat', 'request_time')} ${pick('>', '<=', '!=')} ${pick('1s', '500ms')}`
    case 5:
      return `| ${pick('b', 'size')} ${pick('>', '<')} ${pick('1KB', '2MB')}`
    case 6:
    case 7:
    case 8:
      return `| ${pick('level', 'k', 'app', 'a', 'case', '__error__', 'detected_level', 'ip', 'nope')} ${pick('=', '!=', '=~', '!~')} ${pick('""', '"a"', '"warn|info"', '".+"', '"web"')}`
    default:
      return from(random, stages)
  }
}

export function randomPipeline(random: Random): string {
  const count = 1 + random(4)
  return [`{case="${from(random, kinds)}"}`, ...Array.from({ length: count }, () => stage(random))].join(' ')
}

function grouping(random: Random): string {
  const by = ['k', 'app', 'a', 'level, k', '__error__', 'nope', 'detected_level']
  const without = ['k', 'app', 'v', 'd, b']
  return from(random, ['', ` by (${from(random, by)})`, ` without (${from(random, without)})`])
}

export function randomMetric(random: Random): string {
  const pipeline = randomPipeline(random)
  const range = from(random, ['1m', '30s', '90s'])
  const offset = from(random, ['', '', ' offset 10s', ' offset -20s'])
  let metric: string
  if (random(2) === 0) {
    const operator = from(random, ['count_over_time', 'rate', 'bytes_over_time', 'bytes_rate'])
    metric = `${operator}(${pipeline}[${range}]${offset})`
  } else {
    const values = ['v', 'n', 'a', 'duration(d)', 'bytes(b)', 'code', 'bytes(size)', 'duration_seconds(lat)']
    const operator = from(random, ['sum', 'min', 'max', 'first', 'last', 'stddev'])
    const filter = from(random, [' | __error__=""', ' | __error__=""', ''])
    const grouped = operator === 'sum' ? '' : grouping(random)
    metric = `${operator}_over_time(${pipeline} | unwrap ${from(random, values)}${filter}[${range}]${offset})${grouped}`
  }
  if (random(4) === 0) return metric
  return `${from(random, ['sum', 'max', 'min', 'count', 'avg'])}${grouping(random)}(${metric})`
}

export interface RandomQuery {
  readonly metric: boolean
  readonly query: string
}

/** The same for the same seed. */
export function randomQueries(seed: number, count: number): RandomQuery[] {
  const random = randomFrom(seed)
  return Array.from({ length: count }, () => {
    const metric = random(9) < 4
    return { metric, query: metric ? randomMetric(random) : randomPipeline(random) }
  })
}
