/**
 * Records of other senders (Fluent Bit, Fluentd, fluent-logger, OpenTelemetry through Fluent Bit): which line, time, labels and
 * structured metadata each one becomes. Pure.
 */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { ForwardMessage } from '@tributary/protocol/forward.ts'
import { TooDeepError } from '@tributary/protocol/msgpack.ts'
import { Extension, textOf, type Value, type ValueMap, ValueReader } from './decode-value.ts'
import { detectLevel, levelNamed, severityLevel } from './detect-level.ts'
import { type Labels, labelName } from './labels.ts'

export interface ForeignRecord {
  readonly seconds: number
  readonly nanoseconds: number
  /** Stream labels, `stream` among them where the record tells it. */
  readonly labels: Labels
  readonly metadata: Readonly<Record<string, string>>
  readonly line: Buffer
  /** Index into the levels of detect-level.ts; 0 when the record doesn't name one. */
  readonly level: number
}

/** Fluent Bit's markers around records of one OTLP resource and scope: -1 and -2 seconds as unsigned. */
const groupStart = 0xffffffff
const groupEnd = 0xfffffffe

/** As a number of seconds it would be in the year 5138: fluent-logger can be told to send milliseconds. */
const leastMilliseconds = 1e11

/** Fields that hold the line, in order: of Fluent Bit and Docker, of Fluentd and Logstash, of structured loggers, of the systemd journal. */
const lineFields = ['log', 'message', 'msg', 'MESSAGE'] as const

/** What the records of a group share. */
interface Group {
  readonly labels: Labels
  readonly metadata: Readonly<Record<string, string>>
}

const noGroup: Group = { labels: {}, metadata: {} }
const noSender: StreamMetadata = { labels: {}, metadata: {} }

/**
 * Calls `take` for every record of a message.
 *
 * @param entries the message's entries, decompressed
 * @param sender what the collector that passed the message on knows of its sender
 * @returns how many entries were no `[time, record]`, or nest too deep; they are left out
 * @throws MsgpackError where the entries are no MessagePack
 */
export function readForeign(
  message: Pick<ForwardMessage, 'mode' | 'tag'>,
  entries: Buffer,
  take: (record: ForeignRecord) => void,
  sender: StreamMetadata = noSender,
): number {
  const reader = new ValueReader(entries)
  const ofTag = describeTag(message.tag)
  let group = noGroup
  let malformed = 0
  while (!reader.done) {
    const entry = nextEntry(reader, message.mode)
    const parsed = Array.isArray(entry) && entry.length === 2 ? parseEntry(entry[0]!, entry[1]!) : undefined
    if (parsed === undefined) malformed++
    else if (parsed.seconds === groupStart && parsed.marker) group = groupOf(parsed.record)
    else if (parsed.seconds === groupEnd && parsed.marker) group = noGroup
    else take(foreignRecord(parsed, ofTag, group, sender))
  }
  return malformed
}

/** Undefined for one that nests too deep. */
function nextEntry(reader: ValueReader, mode: ForwardMessage['mode']): Value | undefined {
  const { at } = reader
  try {
    return mode === 'message' ? [reader.next(), reader.next()] : reader.next()
  } catch (error) {
    if (!(error instanceof TooDeepError)) throw error
    reader.at = at
    reader.skip()
    if (mode === 'message') reader.skip()
    return undefined
  }
}

interface Entry {
  readonly seconds: number
  readonly nanoseconds: number
  /** The time has the form in which Fluent Bit sends group markers. */
  readonly marker: boolean
  readonly metadata: ValueMap | undefined
  readonly record: ValueMap
}

function parseEntry(slot: Value, record: Value): Entry | undefined {
  if (!(record instanceof Map)) return undefined
  // Fluent Bit puts a record's metadata beside its time.
  const [time, metadata] = Array.isArray(slot) ? [slot[0], slot[1]] : [slot, undefined]
  const meta = metadata instanceof Map ? metadata : undefined
  if (time instanceof Extension) {
    if (time.type !== 0 || time.data.length !== 8) return undefined
    return {
      seconds: time.data.readUInt32BE(0),
      nanoseconds: time.data.readUInt32BE(4),
      marker: meta !== undefined,
      metadata: meta,
      record,
    }
  }
  if (typeof time !== 'number' && typeof time !== 'bigint') return undefined
  const value = Number(time)
  if (!Number.isFinite(value)) return undefined
  const perSecond = value >= leastMilliseconds ? 1000 : 1
  const seconds = Math.floor(value / perSecond)
  const nanoseconds = Math.round((value - seconds * perSecond) * (1e9 / perSecond))
  return { seconds, nanoseconds, marker: false, metadata: meta, record }
}

function foreignRecord(entry: Entry, ofTag: Group, group: Group, sender: StreamMetadata): ForeignRecord {
  const { record } = entry
  const labels: Record<string, string> = { ...group.labels }
  const metadata: Record<string, string> = { ...group.metadata }
  const kubernetes = record.get('kubernetes')
  if (kubernetes instanceof Map) takeKubernetes(kubernetes, labels, metadata)
  // Where a record says from which pod or service it is, the tag adds nothing that is worth a stream of its own.
  if (labels['pod'] === undefined && labels['service_name'] === undefined) {
    for (const [name, value] of Object.entries(ofTag.labels)) labels[name] ??= value
    for (const [name, value] of Object.entries(ofTag.metadata)) metadata[name] ??= value
  }
  addSender(sender, labels, metadata)
  const stream = streamName(record.get('stream'))
  if (stream !== undefined) labels['stream'] = stream
  const field = lineFields.find((name) => Buffer.isBuffer(record.get(name)))
  let level = 0
  for (const [name, value] of record) {
    if (/^(level|severity|lvl|loglevel)$/i.test(name) && Buffer.isBuffer(value)) level = levelNamed(value.toString())
    // Of the journal, beside MESSAGE: a severity of syslog.
    else if (name === 'PRIORITY' && field === 'MESSAGE') level = severityLevel(textOf(value))
    // Without a line of its own the whole record is the line, and nothing of it needs to be kept twice.
    if (field === undefined || name === field || (name === 'stream' && stream !== undefined)) continue
    if (name === 'kubernetes' && kubernetes instanceof Map) continue
    addMetadata(metadata, name, value)
  }
  if (entry.metadata !== undefined) level = takeMetadata(entry.metadata, metadata) || level
  const line = field === undefined ? Buffer.from(textOf(record)) : withoutNewline(record.get(field) as Buffer)
  if (level === 0) level = detectLevel(line, 0, line.length)
  return { seconds: entry.seconds, nanoseconds: entry.nanoseconds, labels, metadata, line, level }
}

/** Labels of the sender that hold for the records of other pods too, which it may collect. */
const nodeLabels = ['cluster', 'node']
/** Labels that the collector knows better than a pod that speaks of itself. */
const identityLabels = [...nodeLabels, 'namespace', 'pod', 'container']

/** What a record does not tell itself is known of who sent it, unless it tells that it is another pod's. */
function addSender(sender: StreamMetadata, labels: Record<string, string>, metadata: Record<string, string>): void {
  const own = ['namespace', 'pod'].every((name) => [undefined, sender.labels[name]].includes(labels[name]))
  for (const [name, value] of Object.entries(sender.labels)) {
    if (own && identityLabels.includes(name)) labels[name] = value
    else if (own || nodeLabels.includes(name)) labels[name] ??= value
  }
  if (!own) return
  for (const [name, value] of Object.entries(sender.metadata)) metadata[name] ??= value
  // The pod makes the stream; what tells its own kinds of records apart stays with them.
  if (sender.labels['pod'] === undefined || labels['tag'] === undefined) return
  metadata['tag'] ??= labels['tag']
  delete labels['tag']
}

/** The map that Fluent Bit's and Fluentd's kubernetes filters add. */
const kubernetesLabels = { namespace_name: 'namespace', pod_name: 'pod', container_name: 'container', host: 'node' }
const kubernetesMetadata = { pod_id: 'pod_uid', docker_id: 'container_id', container_image: 'image' }
const appLabels = ['app', 'app.kubernetes.io/name', 'app_kubernetes_io/name', 'app_kubernetes_io_name', 'k8s-app']

function takeKubernetes(from: ValueMap, labels: Record<string, string>, metadata: Record<string, string>): void {
  for (const [field, label] of Object.entries(kubernetesLabels)) putText(labels, label, from.get(field))
  for (const [field, name] of Object.entries(kubernetesMetadata)) putText(metadata, name, from.get(field))
  const pod = from.get('labels')
  if (!(pod instanceof Map)) return
  const app = appLabels.find((name) => Buffer.isBuffer(pod.get(name)))
  if (app !== undefined) putText(labels, 'app', pod.get(app)!)
}

function putText(into: Record<string, string>, name: string, value: Value | undefined): void {
  if (Buffer.isBuffer(value) && value.length > 0) into[name] = value.toString('utf8')
}

/** OpenTelemetry's resource attributes that are stream labels here. */
const resourceLabels: Readonly<Record<string, string>> = {
  'service.name': 'service_name',
  'k8s.cluster.name': 'cluster',
  'k8s.namespace.name': 'namespace',
  'k8s.pod.name': 'pod',
  'k8s.container.name': 'container',
  'k8s.node.name': 'node',
}

function groupOf(body: ValueMap): Group {
  const labels: Record<string, string> = {}
  const metadata: Record<string, string> = {}
  const resource = body.get('resource')
  const attributes = resource instanceof Map ? resource.get('attributes') : undefined
  if (attributes instanceof Map) {
    for (const [name, value] of attributes) {
      const label = Object.hasOwn(resourceLabels, name) ? resourceLabels[name] : undefined
      if (label !== undefined && Buffer.isBuffer(value)) putText(labels, label, value)
      else addMetadata(metadata, name, value)
    }
  }
  const scope = body.get('scope')
  if (scope instanceof Map) {
    for (const name of ['name', 'version']) putText(metadata, `scope_${name}`, scope.get(name))
  }
  return { labels, metadata }
}

/** What stands beside the time: OTLP fields, or anything that a filter put there. The level it names, if any. */
function takeMetadata(from: ValueMap, metadata: Record<string, string>): number {
  let level = 0
  for (const [name, value] of from) {
    if (name === 'otlp' && value instanceof Map) level = takeOtlp(value, metadata)
    else addMetadata(metadata, name, value)
  }
  return level
}

function takeOtlp(from: ValueMap, metadata: Record<string, string>): number {
  let level = 0
  for (const [name, value] of from) {
    if (name === 'attributes' && value instanceof Map) {
      for (const [key, item] of value) addMetadata(metadata, key, item)
    } else if ((name === 'trace_id' || name === 'span_id') && Buffer.isBuffer(value)) {
      // Raw bytes; all zero means none.
      if (value.some((byte) => byte !== 0)) metadata[name] = value.toString('hex')
    } else if (name === 'severity_number' && typeof value === 'number') {
      level ||= otlpLevel(value)
      addMetadata(metadata, name, value)
    } else {
      if (name === 'severity_text' && Buffer.isBuffer(value)) level = levelNamed(value.toString()) || level
      addMetadata(metadata, name, value)
    }
  }
  return level
}

/** Four numbers for each of trace, debug, info, warn, error, fatal. */
export function otlpLevel(severity: number): number {
  return severity < 1 || severity > 24 ? 0 : [1, 2, 3, 4, 5, 7][Math.floor((severity - 1) / 4)]!
}

function addMetadata(metadata: Record<string, string>, name: string, value: Value): void {
  if (value === null) return
  const text = textOf(value)
  if (text !== '') metadata[labelName(name)] = text
}

function streamName(value: Value | undefined): string | undefined {
  const name = Buffer.isBuffer(value) && value.length === 6 ? value.toString('latin1') : undefined
  return name === 'stdout' || name === 'stderr' ? name : undefined
}

function withoutNewline(line: Buffer): Buffer {
  return line[line.length - 1] === 0x0a ? line.subarray(0, -1) : line
}

/** The name that Fluent Bit and Fluentd give to what they tail from /var/log/containers. */
const containerTag = /^([a-z0-9.-]+)_([a-z0-9-]+)_([a-z0-9-]+)-([0-9a-f]{64})\.log$/
const directory = 'containers.'

/** Pod, namespace, container and its id where the tag tells them, else the tag itself. */
function describeTag(tag: string): Group {
  const at = tag.lastIndexOf(directory)
  const match = at === -1 ? null : containerTag.exec(tag.slice(at + directory.length))
  if (match === null) return { labels: { tag }, metadata: {} }
  const [, pod, namespace, container, id] = match as unknown as [string, string, string, string, string]
  return { labels: { pod, namespace, container }, metadata: { container_id: id } }
}
