/**
 * What a tenant may send, to this aggregator. Push refuses what goes beyond, with {@link LimitError}; Forward waits, cuts and counts. Each
 * check is of one thing, so that what is good beside it can be kept.
 */
import { ActiveStreams } from './active-streams.ts'
import type { Limits, TenantsConfig } from './config.ts'
import { LimitError } from './limit-error.ts'
import { TokenBucket } from './token-bucket.ts'

export interface TenantLimitsOptions {
  readonly limits: Limits
  /** By tenant: what is otherwise for it. */
  readonly overrides?: TenantsConfig['overrides']
  /** Milliseconds of any clock that only goes forward. */
  readonly now?: () => number
}

interface State {
  readonly limits: Limits
  readonly bucket: TokenBucket
  readonly streams: ActiveStreams
}

/** Tenants whose state is kept; names may be whatever a request says. */
const maxTenants = 10_000

export class TenantLimits {
  readonly #options: TenantLimitsOptions
  readonly #now: () => number
  /** Those asked for last at the end. */
  readonly #states = new Map<string, State>()

  constructor(options: TenantLimitsOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  of(tenant: string): Limits {
    return this.#state(tenant).limits
  }

  /**
   * Names and values of a stream's labels.
   *
   * @param shown the stream as messages name it, such as `{app="x"}`
   * @throws {@link LimitError}
   */
  checkLabels(tenant: string, shown: string, labels: Iterable<readonly [string, string]>): void {
    const { maxLabelNames, maxLabelNameBytes, maxLabelValueBytes } = this.of(tenant)
    let count = 0
    for (const [name, value] of labels) {
      count++
      if (beyond(Buffer.byteLength(name), maxLabelNameBytes))
        throw new LimitError('label_name_too_long', `stream '${shown}' has label name too long: '${name}'`)
      if (beyond(Buffer.byteLength(value), maxLabelValueBytes))
        throw new LimitError('label_value_too_long', `stream '${shown}' has label value too long: '${value}'`)
    }
    if (count === 0) throw new LimitError('missing_labels', 'error at least one label pair is required per stream')
    if (beyond(count, maxLabelNames))
      throw new LimitError(
        'max_label_names_per_series',
        `entry for stream '${shown}' has ${count} label names; limit ${maxLabelNames}`,
      )
  }

  /**
   * Structured metadata of one record.
   *
   * @throws {@link LimitError}
   */
  checkMetadata(tenant: string, shown: string, metadata: Iterable<readonly [string, string]>): void {
    const { maxMetadataPairs, maxMetadataBytes } = this.of(tenant)
    let count = 0
    let bytes = 0
    for (const [name, value] of metadata) {
      count++
      bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
    }
    if (beyond(bytes, maxMetadataBytes))
      throw new LimitError(
        'structured_metadata_too_large',
        `stream '${shown}' has structured metadata too large: '${bytes}' bytes, limit: '${maxMetadataBytes}' bytes. Please see \`limits_config.max_structured_metadata_size\` or contact your Loki administrator to increase it`,
      )
    if (beyond(count, maxMetadataPairs))
      throw new LimitError(
        'structured_metadata_too_many',
        `stream '${shown}' has too many structured metadata labels: '${count}', limit: '${maxMetadataPairs}'. Please see \`limits_config.max_structured_metadata_entries_count\` or contact your Loki administrator to increase it`,
      )
  }

  /**
   * The time of a pushed record.
   *
   * @param time and now: nanoseconds since 1970
   * @throws {@link LimitError}
   */
  checkTime(tenant: string, shown: string, time: bigint, now: bigint): void {
    const { maxAge, maxFuture } = this.of(tenant)
    const oldest = now - BigInt(maxAge) * 1_000_000n
    if (maxAge > 0 && time < oldest)
      throw new LimitError(
        'greater_than_max_sample_age',
        `entry for stream '${shown}' has timestamp too old: ${iso(time)}, oldest acceptable timestamp is: ${iso(oldest)}`,
      )
    if (maxFuture > 0 && time > now + BigInt(maxFuture) * 1_000_000n)
      throw new LimitError('too_far_in_future', `entry for stream '${shown}' has timestamp too new: ${iso(time)}`)
  }

  /**
   * How many bytes of a pushed line are kept: fewer than it has only where lines are cut, which the row then says as `truncated`.
   *
   * @throws {@link LimitError}
   */
  lineBytes(tenant: string, shown: string, bytes: number): number {
    const { maxLineBytes, truncateLines } = this.of(tenant)
    if (bytes <= maxLineBytes) return bytes
    if (truncateLines) return maxLineBytes
    throw new LimitError(
      'line_too_long',
      `max entry size '${maxLineBytes}' bytes exceeded for stream '${shown}' while adding an entry with length '${bytes}' bytes`,
    )
  }

  /**
   * Notes that a stream has records.
   *
   * @param stream its `sid`, or what else tells it apart
   * @throws {@link LimitError} when it is a new one and the tenant has as many as it may
   */
  checkStream(tenant: string, shown: string, stream: bigint | string): void {
    const { limits, streams } = this.#state(tenant)
    if (limits.maxStreams === 0 || streams.touch(stream, limits.maxStreams, this.#now())) return
    throw new LimitError(
      'stream_limit',
      `Maximum active stream limit exceeded when trying to create stream ${shown}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: '${tenant}'`,
    )
  }

  /**
   * Books a push: its lines and the bytes of them with their structured metadata. To be called once for what passed the other checks.
   *
   * @throws {@link LimitError} and books nothing
   */
  checkRate(tenant: string, lines: number, bytes: number): void {
    const { limits, bucket } = this.#state(tenant)
    if (limits.ingestionBytesPerSecond === 0 || bucket.take(bytes, this.#now())) return
    throw new LimitError(
      'rate_limited',
      `Ingestion rate limit exceeded for user ${tenant} (limit: ${limits.ingestionBytesPerSecond} bytes/sec) while attempting to ingest '${lines}' lines totaling '${bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased`,
    )
  }

  /** Books what has arrived already; milliseconds for which its sender should wait before it sends more. */
  delay(tenant: string, bytes: number): number {
    const { limits, bucket } = this.#state(tenant)
    return limits.ingestionBytesPerSecond === 0 ? 0 : bucket.owe(bytes, this.#now())
  }

  #state(tenant: string): State {
    const known = this.#states.get(tenant)
    if (known !== undefined) {
      if (this.#states.size < maxTenants) return known
      this.#states.delete(tenant)
      this.#states.set(tenant, known)
      return known
    }
    const { limits: common, overrides = {} } = this.#options
    const own = Object.hasOwn(overrides, tenant) ? overrides[tenant] : undefined
    const limits = own === undefined ? common : { ...common, ...definedOf(own) }
    const now = this.#now()
    const bucket = new TokenBucket(limits.ingestionBytesPerSecond, limits.ingestionBurstBytes, now)
    const state = { limits, bucket, streams: new ActiveStreams(now) }
    this.#states.set(tenant, state)
    if (this.#states.size > maxTenants) this.#states.delete(this.#states.keys().next().value!)
    return state
  }
}

function beyond(value: number, limit: number): boolean {
  return limit > 0 && value > limit
}

function definedOf(limits: TenantsConfig['overrides'][string]): Partial<Limits> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
}

function iso(nanoseconds: bigint): string {
  const ms = Math.floor(Number(nanoseconds) / 1e9) * 1000
  // What no calendar has is shown as the number it is.
  return Math.abs(ms) > 8.64e15 ? `${nanoseconds}` : new Date(ms).toISOString().replace('.000Z', 'Z')
}
