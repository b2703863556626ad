/**
 * Writes a syntax tree on one line as Loki writes it, for `format_query`: its blanks, brackets and units. Parsing it gives the same query:
 * where Loki's own text would not, as it rounds sizes and leaves out parts of durations, the exact form of print.ts stands instead.
 */
import type {
  BinaryOperation,
  Expression,
  Grouping,
  LabelFilter,
  RangeAggregation,
  Stage,
  VectorAggregation,
} from './ast.ts'
import { printGrouping, printMatcher, printSelector, printStageAs } from './print.ts'
import { formatDuration, parseBytes } from './quantity.ts'
import { quote } from './quote.ts'
import { printFloat } from './template/value.ts'

export function printAsLoki(expression: Expression): string {
  switch (expression.kind) {
    case 'log':
      return [printSelector(expression.matchers), ...expression.stages.map(stageText)].join(' ')
    case 'range':
      return rangeText(expression)
    case 'vector aggregation':
      return aggregationText(expression)
    case 'binary':
      return `(${printAsLoki(expression.left)} ${operatorText(expression, ',')} ${printAsLoki(expression.right)})`
    case 'literal':
      return printFloat(expression.value)
    case 'vector':
      return `vector(${vectorNumber(expression.value)})`
    case 'label_replace': {
      const { inner, destination, replacement, source, pattern } = expression
      return `label_replace(${[printAsLoki(inner), ...[destination, replacement, source, pattern].map(quote)].join(',')})`
    }
  }
}

/** Six digits behind the point, unless there are more. */
function vectorNumber(value: number): string {
  const text = Math.abs(value) < 1e21 ? value.toFixed(6) : ''
  return text !== '' && Number(text) === value ? text : decimal(value)
}

export const stageText = (stage: Stage): string => printStageAs({ comma: ',', filter: filterText }, stage)

/** @param simplified whether Loki has done without regular expressions where it can, as it does not behind `unwrap` */
export function filterText(filter: LabelFilter, simplified = true): string {
  switch (filter.kind) {
    case 'string': {
      const { name, op, value } = filter.matcher
      const expression =
        (op === '=~' || op === '!~') &&
        !(simplified ? isSimple(value) : value === '.+') &&
        !/[`\ud800-\udfff]/.test(value)
      return expression ? `${name}${op}\`${value}\`` : printMatcher(filter.matcher)
    }
    case 'ip':
      return `${filter.name}${filter.op}ip(${quote(filter.value)})`
    case 'number':
      return `${filter.name}${compareText(filter.op)}${decimal(filter.value)}`
    case 'duration':
      return `${filter.name}${compareText(filter.op)}${goDuration(filter.value)}`
    case 'bytes':
      return `${filter.name}${compareText(filter.op)}${sizeText(filter.value)}`
    case 'and':
      return `( ${filterText(filter.left, simplified)} , ${filterText(filter.right, simplified)} )`
    case 'or':
      return `( ${filterText(filter.left, simplified)} or ${filterText(filter.right, simplified)} )`
  }
}

const compareText = (op: string): string => (op === '=' ? '==' : op)

/** Those that Loki's filters of text do without an expression, which it then writes in double quotes: texts, maybe with anything around. */
const isSimple = (regex: string): boolean =>
  regex === '.+' ||
  /^(?:\.\*)?(?:[^\\^$.|?*+()[\]{}]|\\[.\\^$|?*+()[\]{}-])*(?:\.\*)?$/.test(regex) ||
  /^\(?(?:[^\\^$.|?*+()[\]{}]|\\[.\\^$|?*+()[\]{}-]|\|)*\)?$/.test(regex)

function rangeText(range: RangeAggregation): string {
  const { grouping, log, op, parameter, unwrap } = range
  const target = unwrap?.conversion ? `${unwrap.conversion}(${unwrap.label})` : unwrap?.label
  const unwrapped = unwrap
    ? ` | unwrap ${target}${unwrap.filters.map((item) => ` | ${filterText(item, false)}`).join('')}`
    : ''
  const offset = range.offset === 0n ? '' : ` offset ${goDuration(range.offset)}`
  const first = parameter === undefined ? '' : `${decimal(parameter)},`
  return `${op}(${first}${printAsLoki(log)}${unwrapped}[${rangeDuration(range.range)}]${offset})${printGrouping(grouping, ',')}`
}

function aggregationText({ grouping, inner, op, parameter }: VectorAggregation): string {
  const first = parameter === undefined ? '' : `${decimal(parameter)},`
  return `${op}${ownGrouping(grouping, ',')}(${first}${printAsLoki(inner)})`
}

/** `by ()` around a vector is what there is without it. */
export const ownGrouping = (grouping: Grouping | undefined, comma: string): string =>
  grouping && !grouping.without && grouping.labels.length === 0 ? '' : printGrouping(grouping, comma)

/** The operator with all that stands beside it; as in Loki's text, a blank ends it where labels are matched without a group. */
export function operatorText({ bool, group, matching, op, right }: BinaryOperation, comma: string): string {
  const start = bool ? `${op} bool` : op
  if (!matching) return start
  const clause = `${start} ${matching.on ? 'on' : 'ignoring'} (${matching.labels.join(comma)})`
  if (!group) return `${clause} `
  // Brackets behind it would be taken for its labels.
  const labels = group.include.length > 0 || right.kind === 'binary' ? ` (${group.include.join(comma)})` : ''
  return `${clause} group_${group.side}${labels}`
}

/** All digits, without an exponent. */
export function decimal(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value)
  const [, sign, whole, fraction, exponent] = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text) ?? []
  if (exponent === undefined) return text
  const digits = whole! + (fraction ?? '')
  const point = whole!.length + Number(exponent)
  return point > 0 ? `${sign}${digits.padEnd(point, '0')}` : `${sign}0.${'0'.repeat(-point)}${digits}`
}

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** Two digits where they say all. */
function sizeText(bytes: number): string {
  const power = bytes < 10 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1000)))
  const rounded = Math.floor((bytes / 1000 ** power) * 10 + 0.5) / 10
  const text = `${rounded.toFixed(rounded < 10 && power > 0 ? 1 : 0)}${units[power]}`
  return parseBytes(text) === bytes ? text : `${bytes}B`
}

/** As Go writes it: `1h0m0s`, `1.5ms`. */
export function goDuration(nanoseconds: bigint): string {
  if (nanoseconds < 0n) return `-${goDuration(-nanoseconds)}`
  const below = (unit: bigint, name: string): string => `${fraction(nanoseconds, unit)}${name}`
  if (nanoseconds === 0n) return '0s'
  if (nanoseconds < 1_000n) return below(1n, 'ns')
  if (nanoseconds < 1_000_000n) return below(1_000n, 'µs')
  if (nanoseconds < 1_000_000_000n) return below(1_000_000n, 'ms')
  const minutes = nanoseconds / 60_000_000_000n
  const seconds = `${fraction(nanoseconds % 60_000_000_000n, 1_000_000_000n)}s`
  if (minutes === 0n) return seconds
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`
}

function fraction(value: bigint, unit: bigint): string {
  const rest = value % unit
  const digits = String(rest)
    .padStart(String(unit).length - 1, '0')
    .replace(/0+$/, '')
  return `${value / unit}${rest === 0n ? '' : `.${digits}`}`
}

const day = 86_400_000n
/** Milliseconds of each unit, and whether it stands only where nothing is left. */
const rangeUnits = [
  ['y', 365n * day, true],
  ['w', 7n * day, true],
  ['d', day, false],
  ['h', 3_600_000n, false],
  ['m', 60_000n, false],
  ['s', 1000n, false],
  ['ms', 1n, false],
] as const

/** As Prometheus writes it: `1d12h`, `1w`. */
export function rangeDuration(nanoseconds: bigint): string {
  if (nanoseconds <= 0n || nanoseconds % 1_000_000n !== 0n) return formatDuration(nanoseconds)
  let rest = nanoseconds / 1_000_000n
  let text = ''
  for (const [name, unit, exact] of rangeUnits) {
    if (rest / unit === 0n || (exact && rest % unit !== 0n)) continue
    text += `${rest / unit}${name}`
    rest %= unit
  }
  return text
}
