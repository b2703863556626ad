/**
 * Which entries of a push are taken. The order of their times does not matter. What meets no limit is taken, whatever stands beside it.
 */
import { LimitError, type LimitReason } from '../access/limit-error.ts'
import type { TenantLimits } from '../access/tenant-limits.ts'
import { metadataName } from './metadata-name.ts'
import type { PushEntry, PushStream } from './push-request.ts'
import { LabelsError, type PushLabels } from './stream-labels.ts'

export type DiscardReason = LimitReason | 'invalid_labels'

export interface Discarded {
  records: number
  /** Of their lines. */
  bytes: number
}

export interface Accepted {
  readonly streams: readonly PushStream[]
  readonly entries: number
  /** Of lines and structured metadata. */
  readonly bytes: number
  readonly discarded: ReadonlyMap<DiscardReason, Discarded>
  /** What was wrong, each text once with how often. */
  readonly problems: ReadonlyMap<string, number>
  /** The first refusal, if nothing of the push was taken because of it. */
  readonly refusal: LimitError | undefined
}

/** A stream whose labels are read when it is its turn: what is wrong with them concerns it alone. */
export interface OfferedStream {
  /** As messages name it, such as `{app="x"}`. */
  readonly name: string
  labels(): PushLabels
  readonly entries: readonly PushEntry[]
}

export type Limiter = Pick<
  TenantLimits,
  'checkLabels' | 'checkMetadata' | 'checkStream' | 'checkTime' | 'lineBytes' | 'checkRate'
>

/** Different texts that are told; the others are only counted. */
const maxProblems = 10

/** @throws LimitError when the tenant sends more than it may; then nothing is taken */
export function acceptPush(
  offered: readonly OfferedStream[],
  tenant: string,
  limiter: Limiter,
  nowMs: number,
): Accepted {
  const now = BigInt(nowMs) * 1_000_000n
  const tally = new Tally()
  const streams: PushStream[] = []
  for (const { name, labels: read, entries } of offered) {
    const labels = tally.try(entries, () => checkedLabels(read, name, tenant, limiter))
    if (labels === undefined) continue
    const kept: PushEntry[] = []
    for (const entry of withoutRepeats(entries)) {
      const checked = tally.try([entry], () => checkedEntry(entry, name, tenant, limiter, now))
      if (checked === undefined) continue
      tally.take(checked)
      kept.push(checked)
    }
    if (kept.length > 0) streams.push({ name, labels, entries: kept })
  }
  const { bytes, discarded, entries, problems, refusal } = tally
  if (entries > 0) limiter.checkRate(tenant, entries, bytes)
  return { streams, entries, bytes, discarded, problems, refusal: entries === 0 ? refusal : undefined }
}

class Tally {
  entries = 0
  bytes = 0
  refusal: LimitError | undefined
  readonly discarded = new Map<DiscardReason, Discarded>()
  readonly problems = new Map<string, number>()

  take({ line, metadata }: PushEntry): void {
    this.entries++
    this.bytes += line.length
    for (const name in metadata) this.bytes += Buffer.byteLength(name) + Buffer.byteLength(metadata[name]!)
  }

  /** What a check returns; undefined, counted and told, when these entries fail it. */
  try<T>(entries: readonly PushEntry[], check: () => T): T | undefined {
    try {
      return check()
    } catch (error) {
      if (!(error instanceof LimitError || error instanceof LabelsError)) throw error
      this.#discard(error instanceof LimitError ? error.reason : 'invalid_labels', entries)
      if (error instanceof LimitError) this.refusal ??= error
      const known = this.problems.get(error.message)
      if (known !== undefined || this.problems.size < maxProblems) this.problems.set(error.message, (known ?? 0) + 1)
      return undefined
    }
  }

  #discard(reason: DiscardReason, entries: readonly PushEntry[]): void {
    const known = this.discarded.get(reason) ?? { records: 0, bytes: 0 }
    known.records += entries.length
    for (const { line } of entries) known.bytes += line.length
    this.discarded.set(reason, known)
  }
}

function checkedLabels(read: () => PushLabels, name: string, tenant: string, limiter: Limiter): PushLabels {
  const labels = read()
  const pairs = Object.entries(labels)
  limiter.checkLabels(tenant, name, pairs)
  limiter.checkStream(tenant, name, JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1))))
  return labels
}

function checkedEntry(entry: PushEntry, stream: string, tenant: string, limiter: Limiter, now: bigint): PushEntry {
  const { seconds, nanoseconds, line } = entry
  limiter.checkTime(tenant, stream, BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds), now)
  const kept = limiter.lineBytes(tenant, stream, line.length)
  const metadata = namedMetadata(entry.metadata)
  if (metadata !== undefined) limiter.checkMetadata(tenant, stream, Object.entries(metadata))
  if (kept === line.length) return { seconds, nanoseconds, line, metadata }
  return { seconds, nanoseconds, line: line.subarray(0, kept), metadata: { ...metadata, truncated: 'true' } }
}

/** Under names that queries can name. */
function namedMetadata(metadata: PushEntry['metadata']): PushEntry['metadata'] {
  if (metadata === undefined) return undefined
  const named: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(metadata)) if (value !== '') named[metadataName(name)] = value
  return Object.keys(named).length === 0 ? undefined : named
}

/** Of entries of one stream with the same time and line the first, as in Loki. */
function withoutRepeats(entries: readonly PushEntry[]): PushEntry[] {
  const first = new Map<string, PushEntry>()
  /** Lines by time, where several entries have one. */
  const lines = new Map<string, Set<string>>()
  return entries.filter((entry) => {
    const time = `${entry.seconds}.${entry.nanoseconds}`
    const other = first.get(time)
    if (other === undefined) {
      first.set(time, entry)
      return true
    }
    let known = lines.get(time)
    if (known === undefined) lines.set(time, (known = new Set([other.line.toString('latin1')])))
    return known.size < known.add(entry.line.toString('latin1')).size
  })
}
