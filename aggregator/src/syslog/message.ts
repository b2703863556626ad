/** Reads one syslog message: RFC 5424, else what RFC 3164 describes, else it is a line and nothing more. Pure. */
import { isUtf8 } from 'node:buffer'

export interface SyslogMessage {
  readonly format: 'rfc5424' | 'rfc3164' | 'none'
  /** 0 to 23. */
  readonly facility?: number
  /** 0 (emergency) to 7 (debug). */
  readonly severity?: number
  /** Undefined where the message tells none. */
  readonly time?: { readonly seconds: number; readonly nanoseconds: number }
  readonly host?: string
  readonly app?: string
  readonly process?: string
  readonly messageId?: string
  /** Parameters of structured data, as `<id>_<name>`. */
  readonly structured: Readonly<Record<string, string>>
  readonly line: Buffer
}

/** The header is ASCII, but for what senders put there; it is looked for in this many bytes. */
const maxHeader = 1024

const priority = /^<(\d{1,3})>/
const header5424 = /^1 (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32})(?: |$)/
const timestamp = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** syslog-ng can be told to give fractions of a second (`frac-digits`). */
const header3164 = /^([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? |^(\d{4}-\d\d-\d\dT\S{8,30}) /
/** A host name or address, and then a tag: `app[123]:`. */
const hostAndTag = /^(?:([^\s[\]]{0,254}[^\s:[\]]) )?([^\s:[\]]{1,128})(?:\[([^\]\s]{1,64})\])?: ?/
const hostAlone = /^([^\s[\]]{0,254}[^\s:[\]]) /

/** @param received milliseconds since 1970: RFC 3164 tells no year */
export function parseSyslog(bytes: Buffer, received: number): SyslogMessage {
  const text = bytes.toString('latin1', 0, maxHeader)
  const given = priority.exec(text)
  const value = Number(given?.[1] ?? Number.NaN)
  if (given === null || value > 191) return { format: 'none', structured: {}, line: withoutEnd(bytes) }
  const base = { facility: value >> 3, severity: value & 7 }
  const start = given[0].length
  return read5424(bytes, text.slice(start), start, base) ?? read3164(bytes, text.slice(start), start, base, received)
}

type Base = Required<Pick<SyslogMessage, 'facility' | 'severity'>>

function read5424(bytes: Buffer, text: string, start: number, base: Base): SyslogMessage | undefined {
  const header = header5424.exec(text)
  if (header === null) return undefined
  const [all, time, host, app, process, messageId] = header as unknown as [string, ...string[]]
  const told = time === '-' ? undefined : timeOf(time!)
  if (time !== '-' && told === undefined) return undefined
  const data = readStructured(bytes, start + all.length)
  if (data === undefined) return undefined
  return {
    format: 'rfc5424',
    ...base,
    ...(told === undefined ? {} : { time: told }),
    ...named({ host, app, process, messageId }),
    structured: data.structured,
    line: withoutEnd(withoutMark(bytes.subarray(data.end))),
  }
}

/** Those that are there; `-` is none. */
function named(all: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const there = Object.entries(all).filter(([, value]) => value !== undefined && value !== '-')
  return Object.fromEntries(there.map(([name, value]) => [name, utf8(value!)]))
}

/** The header was read byte by byte. */
const utf8 = (text: string) => Buffer.from(text, 'latin1').toString('utf8')

const [bracket, closing, quote, backslash, space, equals] = ['[', ']', '"', '\\', ' ', '='].map((c) => c.charCodeAt(0))

interface StructuredData {
  readonly structured: Record<string, string>
  /** Where the message's text begins. */
  readonly end: number
}

/** Undefined where it is none. */
function readStructured(bytes: Buffer, from: number): StructuredData | undefined {
  const structured: Record<string, string> = {}
  let at = from
  if (at >= bytes.length) return { structured, end: at }
  if (bytes[at] === 0x2d) at++
  else if (bytes[at] !== bracket) return undefined
  while (bytes[at] === bracket) {
    const end = readElement(bytes, at + 1, structured)
    if (end === undefined) return undefined
    at = end
  }
  if (at < bytes.length && bytes[at] !== space) return undefined
  return { structured, end: Math.min(at + 1, bytes.length) }
}

/** `id name="value" …]`; the position behind it. */
function readElement(bytes: Buffer, from: number, into: Record<string, string>): number | undefined {
  const idEnd = nameEnd(bytes, from)
  if (idEnd === from) return undefined
  const id = bytes.toString('utf8', from, idEnd)
  let at = idEnd
  while (bytes[at] === space) {
    const start = at + 1
    const end = nameEnd(bytes, start)
    if (end === start || bytes[end] !== equals || bytes[end + 1] !== quote) return undefined
    const value = readValue(bytes, end + 2)
    if (value === undefined) return undefined
    into[`${id}_${bytes.toString('utf8', start, end)}`] = value.text
    at = value.end
  }
  return bytes[at] === closing ? at + 1 : undefined
}

function nameEnd(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.length && bytes[at]! > space! && ![equals, closing, quote].includes(bytes[at]!)) at++
  return at
}

/** Up to the closing quote; a backslash takes the meaning from a quote, a backslash and a closing bracket. */
function readValue(bytes: Buffer, from: number): { readonly text: string; readonly end: number } | undefined {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === backslash) at++
    else if (bytes[at] === quote) {
      return { text: bytes.toString('utf8', from, at).replace(/\\(["\\\]])/g, '$1'), end: at + 1 }
    }
  }
  return undefined
}

function read3164(bytes: Buffer, text: string, start: number, base: Base, received: number): SyslogMessage {
  const when = header3164.exec(text)
  const time = when === null ? undefined : when[7] === undefined ? timeOfDay(when, received) : timeOf(when[7])
  // Without a time there is no host either: a local program leaves both out.
  const rest = time === undefined ? text : text.slice(when![0].length)
  const tag = hostAndTag.exec(rest)
  const host = time === undefined ? undefined : tag === null ? hostAlone.exec(rest)?.[1] : tag[1]
  const length = tag?.[0].length ?? (time === undefined ? 0 : (hostAlone.exec(rest)?.[0].length ?? 0))
  const at = start + (text.length - rest.length) + length
  return {
    format: 'rfc3164',
    ...base,
    ...(time === undefined ? {} : { time }),
    ...named({ host, app: time === undefined && tag?.[1] !== undefined ? undefined : tag?.[2], process: tag?.[3] }),
    structured: {},
    line: withoutEnd(time === undefined && tag?.[1] !== undefined ? bytes.subarray(start) : bytes.subarray(at)),
  }
}

function timeOf(text: string): SyslogMessage['time'] {
  const match = timestamp.exec(text)
  const milliseconds = match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`)
  if (Number.isNaN(milliseconds)) return undefined
  return { seconds: milliseconds / 1000, nanoseconds: nanosecondsOf(match![2]) }
}

/** @param fraction digits behind the point of a second, where there are any */
const nanosecondsOf = (fraction = '') => Number(fraction.padEnd(9, '0'))

/** Of the year in which it is nearest to when it was received; in UTC, as no zone is told. */
function timeOfDay(
  [, month, day, hours, minutes, seconds, fraction]: RegExpExecArray,
  received: number,
): SyslogMessage['time'] {
  const index = months.indexOf(month!)
  const [date, h, m, s] = [day, hours, minutes, seconds].map(Number) as [number, number, number, number]
  if (index === -1 || date < 1 || date > 31 || h > 23 || m > 59 || s > 60) return undefined
  const year = new Date(received).getUTCFullYear()
  const candidates = [year - 1, year, year + 1].map((one) => Date.UTC(one, index, date, h, m, s))
  const distance = (time: number) => Math.abs(time - received)
  const nearest = candidates.reduce((best, one) => (distance(one) < distance(best) ? one : best))
  return { seconds: nearest / 1000, nanoseconds: nanosecondsOf(fraction) }
}

/** UTF-8's byte order mark, which RFC 5424 puts before text that is UTF-8. */
function withoutMark(bytes: Buffer): Buffer {
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf && isUtf8(bytes)
  return marked ? bytes.subarray(3) : bytes
}

/** Without the line feed or zero byte that some senders end a message with. */
function withoutEnd(bytes: Buffer): Buffer {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d || bytes[end - 1] === 0)) end--
  return bytes.subarray(0, end)
}
