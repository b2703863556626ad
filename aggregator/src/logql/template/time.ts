/** Go's time.Time, with its layouts: `2006-01-02T15:04:05.999Z07:00` writes and reads times by example. */

export interface Zone {
  readonly name: string
  /** East of Greenwich, seconds, at a time given in nanoseconds since 1970. */
  offset(nanoseconds: bigint): number
}

export const utc: Zone = { name: 'UTC', offset: () => 0 }

const second = 1_000_000_000n
/** 1 January of the year 1, what a failed parse leaves. */
export const zeroTime = -62_135_596_800n * second

const months = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
]
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/** The time zone of that name; undefined when there is none. */
export function zoneOf(name: string): Zone | undefined {
  if (name === '' || name === 'UTC' || name === 'Local') return utc
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
    return {
      name,
      offset(nanoseconds) {
        const text = format
          .formatToParts(new Date(Number(nanoseconds / 1_000_000n)))
          .find(({ type }) => type === 'timeZoneName')!.value
        const match = /GMT([+-])(\d\d):(\d\d)/.exec(text)
        return match ? (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 3600 + Number(match[3]) * 60) : 0
      },
    }
  } catch {
    // Not a zone that is known.
    return undefined
  }
}

const layoutToken =
  /January|Jan|Monday|Mon|MST|2006|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07|PM|pm|__2|_2|002|01|02|03|04|05|06|15|[.,]0+(?!\d)|[.,]9+(?!\d)|1|2|3|4|5/g

export class GoTime {
  readonly nanoseconds: bigint
  readonly zone: Zone

  constructor(nanoseconds: bigint, zone: Zone = utc) {
    this.nanoseconds = nanoseconds
    this.zone = zone
  }

  format(layout: string): string {
    const offset = this.zone.offset(this.nanoseconds)
    const local = this.nanoseconds + BigInt(offset) * second
    const fraction = ((local % second) + second) % second
    const date = new Date(Number((local - fraction) / 1_000_000n))
    return layout.replace(layoutToken, (token) => this.#part(token, date, fraction, offset))
  }

  #part(token: string, date: Date, fraction: bigint, offset: number): string {
    const two = (value: number) => String(value).padStart(2, '0')
    const hour = date.getUTCHours()
    switch (token) {
      case 'January':
        return months[date.getUTCMonth()]!
      case 'Jan':
        return months[date.getUTCMonth()]!.slice(0, 3)
      case 'Monday':
        return days[date.getUTCDay()]!
      case 'Mon':
        return days[date.getUTCDay()]!.slice(0, 3)
      case 'MST':
        return this.#zoneName(offset)
      case '2006':
        return String(date.getUTCFullYear()).padStart(4, '0')
      case '06':
        return two(date.getUTCFullYear() % 100)
      case '01':
        return two(date.getUTCMonth() + 1)
      case '1':
        return String(date.getUTCMonth() + 1)
      case '02':
        return two(date.getUTCDate())
      case '_2':
        return String(date.getUTCDate()).padStart(2)
      case '2':
        return String(date.getUTCDate())
      case '002':
      case '__2':
        return String(yearDay(date)).padStart(3, token === '002' ? '0' : ' ')
      case '15':
        return two(hour)
      case '03':
        return two(hour % 12 || 12)
      case '3':
        return String(hour % 12 || 12)
      case '04':
        return two(date.getUTCMinutes())
      case '4':
        return String(date.getUTCMinutes())
      case '05':
        return two(date.getUTCSeconds())
      case '5':
        return String(date.getUTCSeconds())
      case 'PM':
        return hour >= 12 ? 'PM' : 'AM'
      case 'pm':
        return hour >= 12 ? 'pm' : 'am'
      default:
        return /^[.,]/.test(token) ? fractionText(token, fraction) : offsetText(token, offset)
    }
  }

  #zoneName(offset: number): string {
    if (this.zone.name === 'UTC') return 'UTC'
    const short = new Intl.DateTimeFormat('en-US', { timeZone: this.zone.name, timeZoneName: 'short' })
    const name = short
      .formatToParts(new Date(Number(this.nanoseconds / 1_000_000n)))
      .find(({ type }) => type === 'timeZoneName')!.value
    return name.startsWith('GMT') ? offsetText(offset % 3600 === 0 ? '-07' : '-0700', offset) : name
  }

  toString(): string {
    return this.format('2006-01-02 15:04:05.999999999 -0700 MST')
  }
}

const yearDay = (date: Date): number =>
  (Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) - Date.UTC(date.getUTCFullYear(), 0, 1)) /
    86_400_000 +
  1

/** `.000` keeps its digits, `.999` drops zeros at the end. */
function fractionText(token: string, fraction: bigint): string {
  const digits = String(fraction)
    .padStart(9, '0')
    .slice(0, token.length - 1)
  if (token[1] === '0') return token[0] + digits.padEnd(token.length - 1, '0')
  const kept = digits.replace(/0+$/, '')
  return kept === '' ? '' : token[0] + kept
}

function offsetText(token: string, offset: number): string {
  if (token.startsWith('Z') && offset === 0) return 'Z'
  const sign = offset < 0 ? '-' : '+'
  const size = Math.abs(offset)
  const parts = [Math.floor(size / 3600), Math.floor(size / 60) % 60, size % 60].map((value) =>
    String(value).padStart(2, '0'),
  )
  const count = token.replace(/[^0-9]/g, '').length / 2
  return sign + parts.slice(0, count).join(token.includes(':') ? ':' : '')
}

const patterns: Record<string, string> = {
  January: months.join('|'),
  Jan: months.map((name) => name.slice(0, 3)).join('|'),
  Monday: days.join('|'),
  Mon: days.map((name) => name.slice(0, 3)).join('|'),
  MST: '[A-Z]{3,5}|[+-]\\d{2,4}',
  '2006': '\\d{4}',
  PM: 'AM|PM',
  pm: 'am|pm',
  '002': '\\d{3}',
  __2: ' *\\d{1,3}',
  _2: ' ?\\d{1,2}',
}
for (const two of ['01', '02', '03', '04', '05', '06', '15']) patterns[two] = '\\d{2}'
for (const one of ['1', '2', '3', '4', '5']) patterns[one] = '\\d{1,2}'

function patternOf(token: string): string {
  const known = patterns[token]
  if (known !== undefined) return known
  if (/^[.,]/.test(token)) return token[1] === '0' ? `[.,]\\d{${token.length - 1}}` : '(?:[.,]\\d+)?'
  const colon = token.includes(':') ? ':' : ''
  const count = token.replace(/[^0-9]/g, '').length / 2
  const digits = `[+-]\\d\\d${`${colon}\\d\\d`.repeat(count - 1)}`
  return token.startsWith('Z') ? `Z|${digits}` : digits
}

/** As time.ParseInLocation; undefined when the text is not of the layout. */
export function parseTime(layout: string, text: string, zone: Zone): GoTime | undefined {
  const tokens: string[] = []
  let pattern = ''
  let at = 0
  for (const match of layout.matchAll(layoutToken)) {
    pattern += `${literal(layout.slice(at, match.index))}(${patternOf(match[0])})`
    // A fraction may follow the seconds also where the layout has none.
    if (match[0] === '05' && !/^[.,][09]/.test(layout.slice(match.index + 2))) pattern += '([.,]\\d+)?'
    tokens.push(match[0])
    if (match[0] === '05' && !/^[.,][09]/.test(layout.slice(match.index + 2))) tokens.push('.999999999')
    at = match.index + match[0].length
  }
  const found = new RegExp(`^${pattern}${literal(layout.slice(at))}$`).exec(text)
  return found ? timeFrom(tokens, found.slice(1), zone) : undefined
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

function timeFrom(tokens: readonly string[], values: readonly (string | undefined)[], zone: Zone): GoTime | undefined {
  let [year, month, day, hour, minute, seconds] = [0, 1, 1, 0, 0, 0]
  let fraction = 0n
  let offset: number | undefined
  let afternoon: boolean | undefined
  for (const [i, token] of tokens.entries()) {
    const value = values[i] ?? ''
    const number = Number(value)
    if (token === '2006') year = number
    else if (token === '06') year = number + (number >= 69 ? 1900 : 2000)
    else if (token === 'January') month = months.indexOf(value) + 1
    else if (token === 'Jan') month = months.findIndex((name) => name.startsWith(value)) + 1
    else if (token === '01' || token === '1') month = number
    else if (token === '02' || token === '2' || token === '_2') day = number
    else if (token === '002' || token === '__2') [month, day] = [1, number]
    else if (token === '15' || token === '03' || token === '3') hour = number
    else if (token === '04' || token === '4') minute = number
    else if (token === '05' || token === '5') seconds = number
    else if (token === 'PM' || token === 'pm') afternoon = value.toLowerCase() === 'pm'
    else if (/^[.,]/.test(token)) fraction = value === '' ? 0n : BigInt(value.slice(1, 10).padEnd(9, '0'))
    else if (/^[Z-]/.test(token)) offset = parseOffset(value)
    else if (token === 'MST' && value === 'UTC') offset = 0
  }
  if (afternoon !== undefined) hour = (hour % 12) + (afternoon ? 12 : 0)
  const inYear = tokens.includes('002') || tokens.includes('__2')
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || seconds > 59) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (!inYear && (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day)) return undefined
  date.setUTCHours(hour, minute, seconds)
  const local = BigInt(date.getTime()) * 1_000_000n + fraction
  if (offset !== undefined) {
    const east = offset
    const fixed = east === 0 ? utc : { name: 'UTC', offset: () => east }
    return new GoTime(local - BigInt(east) * second, fixed)
  }
  return new GoTime(local - BigInt(zone.offset(local)) * second, zone)
}

function parseOffset(text: string): number {
  if (text === 'Z') return 0
  const digits = text.slice(1).replaceAll(':', '')
  const [hours, minutes, seconds] = [0, 2, 4].map((at) => Number(digits.slice(at, at + 2) || 0)) as [
    number,
    number,
    number,
  ]
  return (text.startsWith('-') ? -1 : 1) * (hours * 3600 + minutes * 60 + seconds)
}
