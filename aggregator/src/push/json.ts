/** Loki's push in JSON: `{"streams": [{"stream": {"app": "x"}, "values": [["<ns>", "<line>", {"trace_id": "…"}]]}]}`. */
import { type PushEntry, PushError } from './push-request.ts'

/** A stream before its labels were looked at. */
export interface JsonStream {
  readonly labels: Readonly<Record<string, unknown>>
  readonly entries: readonly PushEntry[]
}

/** @throws {@link PushError} where the text is not JSON or not a push */
export function readJsonPush(text: string): JsonStream[] {
  const body = parse(text)
  if (!isObject(body)) throw wrong('the body is not an object')
  const { streams } = body
  if (streams === undefined || streams === null) return []
  if (!Array.isArray(streams)) throw wrong('streams is not a list')
  return streams.map(readStream)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new PushError(400, 'body', `JSON: ${(error as Error).message}`, { cause: error })
  }
}

function readStream(item: unknown, index: number): JsonStream {
  if (!isObject(item)) throw wrong(`streams[${index}] is not an object`)
  const { stream, values } = item
  if (stream !== undefined && stream !== null && !isObject(stream))
    throw wrong(`streams[${index}].stream is not an object`)
  if (values !== undefined && values !== null && !Array.isArray(values))
    throw wrong(`streams[${index}].values is not a list`)
  const entries = ((values ?? []) as unknown[]).map((value, i) => readEntry(value, `streams[${index}].values[${i}]`))
  const labels = stream ?? {}
  for (const [name, value] of Object.entries(labels)) {
    if (!hasText(value)) throw wrong(`streams[${index}].stream: ${JSON.stringify(name)} is nested too deeply`)
  }
  return { labels, entries }
}

/** Of some thousand levels no text can be made. */
function hasText(value: unknown): boolean {
  if (typeof value !== 'object') return true
  try {
    JSON.stringify(value)
    return true
  } catch {
    return false
  }
}

function readEntry(value: unknown, path: string): PushEntry {
  if (!Array.isArray(value)) throw wrong(`${path} is not a list`)
  const [time, line, metadata] = value as unknown[]
  if (typeof time !== 'string' || typeof line !== 'string') throw wrong(`${path}: time and line must be strings`)
  if (metadata !== undefined && !isObject(metadata)) throw wrong(`${path}: structured metadata is not an object`)
  return { ...nanoseconds(time, path), line: Buffer.from(line), metadata: textsOf(metadata, path) }
}

function nanoseconds(text: string, path: string): { seconds: number; nanoseconds: number } {
  if (!/^[+-]?\d{1,20}$/.test(text))
    throw wrong(`${path}: the time ${JSON.stringify(text)} is no number of nanoseconds`)
  if (/^\d{10,19}$/.test(text)) return { seconds: Number(text.slice(0, -9)), nanoseconds: Number(text.slice(-9)) }
  const value = BigInt(text)
  if (value !== BigInt.asIntN(64, value)) throw wrong(`${path}: the time ${text} is out of range`)
  const rest = ((value % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  return { seconds: Number((value - rest) / 1_000_000_000n), nanoseconds: Number(rest) }
}

function textsOf(
  metadata: Readonly<Record<string, unknown>> | undefined,
  path: string,
): Record<string, string> | undefined {
  const pairs = Object.entries(metadata ?? {})
  if (pairs.length === 0) return undefined
  const texts: Record<string, string> = Object.create(null)
  for (const [name, value] of pairs) {
    if (typeof value !== 'string') throw wrong(`${path}: structured metadata ${JSON.stringify(name)} is not a string`)
    texts[name] = value.toWellFormed()
  }
  return texts
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const wrong = (message: string): PushError => new PushError(400, 'body', `JSON: ${message}`)
