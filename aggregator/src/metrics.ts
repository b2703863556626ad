/** Every metric of the aggregator, in one place. Labels are bounded: reasons and kinds, never a source, a peer or a pod. */
import type { LossReason } from '@tributary/protocol/chunk.ts'
import type { ReceiveProblem } from '@tributary/protocol/receive/receive-error.ts'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { DiscardReason } from './push/accept.ts'
import type { PushProblem } from './push/push-request.ts'
import type { PushFormat } from './push/pusher.ts'
import { RetentionMetrics } from './retention/metrics.ts'
import { SyslogMetrics } from './syslog/metrics.ts'

export type MessageKind = 'chunk' | 'foreign' | 'query' | 'heartbeat'

export class AggregatorMetrics {
  readonly registry = new Registry()
  readonly #registers = [this.registry]

  readonly connections = this.#counter('aggregator_receive_connections_total', 'Forward connections taken.')
  readonly openConnections = this.#gauge('aggregator_receive_open_connections', 'Forward connections open.')
  readonly messages = this.#counter<MessageKind>('aggregator_receive_messages_total', 'Messages received whole.', [
    'kind',
  ])
  readonly receivedBytes = this.#counter('aggregator_receive_bytes_total', 'Bytes of messages received whole.')
  readonly receivedRecords = this.#counter('aggregator_receive_records_total', 'Records accepted from collectors.')
  readonly duplicateChunks = this.#counter(
    'aggregator_receive_duplicate_chunks_total',
    'Chunks whose range was accepted before. Acknowledged, not stored again.',
  )
  readonly trimmedChunks = this.#counter(
    'aggregator_receive_trimmed_chunks_total',
    'Chunks of which only a part was new.',
  )
  readonly fencedChunks = this.#counter(
    'aggregator_receive_fenced_chunks_total',
    'Chunks of a collector process after which another one began to read the same source. Not acknowledged.',
  )
  readonly ackSeconds = this.#histogram(
    'aggregator_receive_ack_seconds',
    'Time from a message received whole to its acknowledgement.',
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
  )
  readonly receiveErrors = this.#counter<ReceiveProblem>(
    'aggregator_receive_errors_total',
    'What peers sent and was refused.',
    ['reason'],
  )
  readonly receivePaused = this.#gauge(
    'aggregator_receive_paused',
    '1 while senders wait because the write-ahead log is full or behind.',
  )
  readonly pendingBytes = this.#gauge(
    'aggregator_receive_pending_bytes',
    'Bytes of messages that have not arrived whole.',
  )
  readonly undurableBytes = this.#gauge(
    'aggregator_receive_undurable_bytes',
    'Bytes received whole and not durable yet.',
  )

  readonly pushes = this.#counter<PushFormat>(
    'aggregator_push_requests_total',
    'Pushes of which something was taken or refused, by format.',
    ['format'],
  )
  readonly pushedRecords = this.#counter('aggregator_push_records_total', 'Records of pushes that were taken.')
  readonly pushedBytes = this.#counter('aggregator_push_bytes_total', 'Bytes of their lines and structured metadata.')
  readonly repeatedPushes = this.#counter(
    'aggregator_push_repeated_total',
    'Pushes that came again, answered as the first time and not stored twice.',
  )
  readonly pushErrors = this.#counter<PushProblem>(
    'aggregator_push_errors_total',
    'Pushes of which nothing was taken, by reason.',
    ['reason'],
  )
  readonly pushHeldBytes = this.#gauge('aggregator_push_held_bytes', 'Memory of pushes that are not durable yet.')

  readonly walBytes = this.#gauge('aggregator_wal_bytes', 'Disk taken by the write-ahead log.')
  readonly walFull = this.#gauge(
    'aggregator_wal_full',
    '1 while the write-ahead log is at its cap or its disk is full.',
  )
  readonly walCommits = this.#counter(
    'aggregator_wal_commits_total',
    'Group commits: writes followed by one fdatasync.',
  )
  readonly walEvents = this.#counter<string>(
    'aggregator_wal_events_total',
    'Torn tails, corrupt records and disk errors of the write-ahead log.',
    ['event'],
  )

  readonly loadedRows = this.#counter('aggregator_load_rows_total', 'Rows inserted into the store.')
  readonly loadedBytes = this.#counter(
    'aggregator_load_line_bytes_total',
    'Bytes of those rows as they are sent to the store, before compression: lines, labels and metadata.',
  )
  readonly loadedBlocks = this.#counter('aggregator_load_blocks_total', 'Blocks inserted into the store.')
  readonly loadRetries = this.#counter<string>(
    'aggregator_load_retries_total',
    'Inserts that failed and are repeated.',
    ['reason'],
  )
  readonly loadWaiting = this.#counter<string>(
    'aggregator_load_waiting_seconds_total',
    'Time that blocks waited before they were tried again.',
    ['reason'],
  )
  readonly storeAddresses = this.#gauge('aggregator_store_addresses', 'Addresses of the store.')
  readonly storeHealthyAddresses = this.#gauge(
    'aggregator_store_healthy_addresses',
    'Addresses of the store that did what they were asked the last time.',
  )
  readonly storeBackPressure = this.#gauge(
    'aggregator_store_back_pressure',
    '1 while the store works and takes nothing: too many parts, no memory, no Keeper, a full disk.',
  )
  readonly quarantined = this.#counter<string>(
    'aggregator_load_quarantined_total',
    'Entries of the write-ahead log that could not be decoded and were set aside.',
    ['reason'],
  )
  readonly malformedEntries = this.#counter(
    'aggregator_load_malformed_entries_total',
    'Entries of other senders that are no [time, record]. Left out.',
  )
  readonly truncatedLines = this.#counter(
    'aggregator_load_truncated_lines_total',
    'Lines of other senders that were longer than limits.maxLineBytes and were cut, flagged `truncated`.',
  )
  readonly clampedRows = this.#counter(
    'aggregator_load_clamped_rows_total',
    'Rows whose time the store cannot hold, moved to the nearest it can.',
  )
  readonly loaderCpu = this.#counter('aggregator_load_cpu_seconds_total', 'CPU time of the loader.')
  readonly behindBytes = this.#gauge(
    'aggregator_load_behind_bytes',
    'Bytes in the write-ahead log that are not in the store yet.',
  )
  readonly insertSeconds = this.#histogram('aggregator_load_insert_seconds', 'Time that an insert of one block takes.')
  readonly lostBytes = this.#counter<LossReason>(
    'aggregator_lost_bytes_total',
    'Bytes of sources that the aggregator could not keep.',
    ['reason'],
  )

  readonly limitDelays = this.#counter<'rate_limited' | 'stream_limit'>(
    'aggregator_receive_limited_total',
    'Times that a Forward connection was read later, or a chunk was not taken yet, because of a limit of its tenant. Nothing is lost by it.',
    ['reason'],
  )
  readonly discardedRecords = this.#counter<DiscardReason>(
    'aggregator_discarded_records_total',
    'Records that were pushed and refused, because of a limit of their tenant or what is no set of labels.',
    ['reason'],
  )
  readonly discardedBytes = this.#counter<DiscardReason>(
    'aggregator_discarded_bytes_total',
    'Bytes of the lines of those records.',
    ['reason'],
  )
  readonly fileReloads = this.#counter<'taken' | 'refused'>(
    'aggregator_file_reloads_total',
    'Certificates, keys and secrets in files that were replaced while the process ran, and whether the new ones can be used.',
    ['result'],
  )
  readonly ledgerEntries = this.#counter(
    'aggregator_ledger_entries_total',
    'Entries that this aggregator wrote into the log of the shared ledger.',
  )
  readonly ledgerConflicts = this.#counter(
    'aggregator_ledger_conflicts_total',
    'Entries that had to be made anew because another aggregator was first.',
  )
  readonly openClaims = this.#gauge(
    'aggregator_ledger_open_claims',
    'Blocks, of all aggregators, that are claimed in the shared ledger and not known to be in the store.',
  )
  readonly resolvedClaims = this.#counter<'stored' | 'void'>(
    'aggregator_ledger_resolved_days_total',
    'Days of blocks of aggregators that were gone, by whether their rows turned out to be in the store.',
    ['outcome'],
  )

  readonly syslog = new SyslogMetrics(this.registry)
  readonly retention = new RetentionMetrics(this.registry)
  readonly tails = this.#gauge('aggregator_tail_clients', 'Clients that tail.')
  readonly tailedRecords = this.#counter('aggregator_tail_records_total', 'Records sent to clients that tail.')
  readonly tailDropped = this.#counter(
    'aggregator_tail_dropped_records_total',
    'Records that a client that tails was too slow for. It is told which.',
  )

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: 'aggregator_' })
  }

  #counter<Label extends string = never>(name: string, help: string, labelNames: string[] = []) {
    const counter = new Counter({ name, help, labelNames, registers: this.#registers })
    return {
      inc: (count = 1, label?: Label) =>
        label === undefined ? counter.inc(count) : counter.inc({ [labelNames[0]!]: label }, count),
    }
  }

  #gauge(name: string, help: string) {
    return new Gauge({ name, help, registers: this.#registers })
  }

  #histogram(name: string, help: string, buckets = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]) {
    return new Histogram({ name, help, buckets, registers: this.#registers })
  }
}
