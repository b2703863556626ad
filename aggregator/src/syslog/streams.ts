/** From syslog messages to what the write-ahead log keeps: the same form as a push's. Pure. */
import { levels, severityLevel } from '../load/detect-level.ts'
import { labelName } from '../load/labels.ts'
import type { PushEntry, PushStream } from '../push/push-request.ts'
import type { Frame } from './frame.ts'
import { parseSyslog, type SyslogMessage } from './message.ts'

/** Names of RFC 5424, table 1. */
const facilities = [
  ...['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp'],
  ...['ntp', 'audit', 'alert', 'clock', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'],
]

/** What messages that were received together become, and how many there were of each format. */
export interface SyslogBatch {
  readonly streams: PushStream[]
  readonly formats: Readonly<Record<SyslogMessage['format'], number>>
}

/**
 * @param peer address of the sender: the host where a message names none
 * @param received milliseconds since 1970: the time where a message tells none
 */
export function streamsOf(frames: readonly Frame[], peer: string, received: number): SyslogBatch {
  const formats = { rfc5424: 0, rfc3164: 0, none: 0 }
  const streams = new Map<string, { labels: Record<string, string>; entries: PushEntry[] }>()
  for (const { bytes, truncated } of frames) {
    const message = parseSyslog(bytes, received)
    formats[message.format]++
    const labels = labelsOf(message, peer)
    const key = JSON.stringify(labels)
    const stream = streams.get(key) ?? { labels, entries: [] }
    streams.set(key, stream)
    stream.entries.push(entryOf(message, truncated, received))
  }
  return { streams: [...streams].map(([name, stream]) => ({ name, ...stream })), formats }
}

function labelsOf({ app, facility, host = '' }: SyslogMessage, peer: string): Record<string, string> {
  return {
    ...(app === undefined || app === '' ? {} : { app }),
    host: host === '' ? peer : host,
    ...(facility === undefined ? {} : { facility: facilities[facility]! }),
  }
}

function entryOf(message: SyslogMessage, truncated: boolean, received: number): PushEntry {
  const { line, messageId, process, severity, structured, time } = message
  const metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(structured)) if (value !== '') metadata[labelName(name)] = value
  if (process !== undefined) metadata['process_id'] = process
  if (messageId !== undefined) metadata['message_id'] = messageId
  if (severity !== undefined) metadata['detected_level'] = levels[severityLevel(severity)]!
  if (truncated) metadata['truncated'] = 'true'
  const at = time ?? { seconds: Math.floor(received / 1000), nanoseconds: (received % 1000) * 1e6 }
  return { ...at, line, metadata }
}
