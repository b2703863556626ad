/** Every metric of the collector, in one place. Labels are bounded: reasons and formats, never a path or a pod. */
import type { FilterReason, LossReason } from '@tributary/protocol/chunk.ts'
import type { ReceiveProblem } from '@tributary/protocol/receive/receive-error.ts'
import Counter from 'prom-client/lib/counter.js'
import collectDefaultMetrics from 'prom-client/lib/defaultMetrics.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'
import type { AnnotationProblemReason } from './metadata/annotations.ts'
import type { ReloadResult } from './reload/reloader.ts'
import type { ResolveProblem } from './resolve/resolver.ts'

/** `gone`: silent for `aggregator.takeoverAfter`. `moved`: the same aggregator answers at another address. `ledger`: its ledger is not the one used any more. */
export type TakeoverReason = 'gone' | 'moved' | 'ledger'

export type InputProblem =
  | 'directory'
  | 'dangling_link'
  | 'name_not_utf8'
  | 'unreadable'
  | 'not_a_file'
  | 'corrupt_gzip'
  | 'loop'
  | 'cut_back'

/** `full`: no room in the budget or on the disk. `failed`: the disk refused. `damaged`: what was written is not what is read. */
export type SpoolProblem = 'full' | 'failed' | 'damaged'

/** `unreachable`: no connection, or it broke. `expired`: the server forgot where the watch was. `garbage`: not what an API server says. */
export type ApiProblem =
  | 'config'
  | 'unreachable'
  | 'timeout'
  | 'unauthorized'
  | 'forbidden'
  | 'throttled'
  | 'expired'
  | 'status'
  | 'garbage'

/** Why a watch was opened again. `ended`: the server's usual end. `silent`: nothing came for long. */
export type WatchRestart = 'ended' | 'silent' | 'expired' | 'error'

export class CollectorMetrics {
  readonly registry = new Registry()
  readonly #registers = [this.registry]

  readonly readBytes = this.#counter(
    'collector_read_bytes_total',
    'Bytes of log files cut into records, before compression.',
  )
  readonly readRecords = this.#counter('collector_read_records_total', 'Records cut out of log files.')
  readonly sentChunks = this.#counter(
    'collector_sent_chunks_total',
    'Chunks handed to a connection, repeats not counted.',
  )
  readonly sentBytes = this.#counter(
    'collector_sent_bytes_total',
    'Bytes of chunks after compression, repeats not counted.',
  )
  readonly resentChunks = this.#counter(
    'collector_resent_chunks_total',
    'Chunks sent again after a connection was lost.',
  )
  readonly ackedChunks = this.#counter('collector_acked_chunks_total', 'Chunks acknowledged by an aggregator.')
  readonly ackedBytes = this.#counter(
    'collector_acked_bytes_total',
    'Bytes of log files acknowledged by an aggregator.',
  )
  /** Seconds. */
  readonly ackDelay = new Histogram({
    name: 'collector_ack_delay_seconds',
    help: 'From reading a chunk to its acknowledgement.',
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300],
    registers: this.#registers,
  })
  readonly strayAcks = this.#counter(
    'collector_stray_acks_total',
    'Acknowledgements of chunks that were not waiting for one.',
  )
  readonly skippedBytes = this.#counter(
    'collector_skipped_bytes_total',
    "Bytes not read because the aggregator's ledger already has them.",
  )
  readonly lostBytes = this.#counter<LossReason>('collector_lost_bytes_total', 'Bytes given up on.', ['reason'])
  readonly filteredBytes = this.#counter<FilterReason>('collector_filtered_bytes_total', 'Bytes left out on purpose.', [
    'reason',
  ])
  readonly truncatedRecords = this.#counter(
    'collector_truncated_records_total',
    'Records cut at a cap, or whose end never came.',
  )
  readonly partialMetadata = this.#counter(
    'collector_partial_metadata_total',
    'Records sent with what the path says, because their pod was not known in time.',
  )
  readonly pods = this.#gauge(
    'collector_pods',
    'Pods known: present on this node, and deleted ones that are still remembered.',
    ['state'],
  )
  readonly apiRequests = this.#counter<string>(
    'collector_api_requests_total',
    'Requests to the Kubernetes API, by what is asked for.',
    ['kind'],
  )
  readonly apiErrors = this.#counter<ApiProblem>(
    'collector_api_errors_total',
    'Requests to the Kubernetes API that failed or broke, by reason.',
    ['reason'],
  )
  readonly watchRestarts = this.#counter<WatchRestart>(
    'collector_watch_restarts_total',
    'Times a watch of the Kubernetes API was opened again, by reason.',
    ['reason'],
  )
  readonly podFileErrors = this.#counter<'write' | 'damaged'>(
    'collector_pod_file_errors_total',
    'Times the file of known pods could not be written, or was damaged and set aside.',
    ['reason'],
  )
  readonly annotationProblems = this.#counter<AnnotationProblemReason>(
    'collector_annotation_problems_total',
    'Annotations of pods that could not be followed, each counted once for its workload.',
    ['reason'],
  )
  readonly malformedLines = this.#counter<string>(
    'collector_malformed_lines_total',
    'Lines without the format of their file, kept as they were found.',
    ['format'],
  )
  readonly parseErrors = this.#counter<string>(
    'collector_parse_errors_total',
    'Lines that were not what the parser of their pod reads, kept as they were.',
    ['parser'],
  )
  readonly redactions = this.#counter<string>('collector_redactions_total', 'Secrets taken out of lines, by pattern.', [
    'rule',
  ])
  readonly withheldLines = this.#counter(
    'collector_withheld_lines_total',
    'Lines of which a part was left out because they are too long, or take too long, to be searched for secrets.',
  )
  readonly rateLimitedRecords = new Counter({
    name: 'collector_rate_limited_records_total',
    help: 'Records left out because their pod wrote more than its rate allows. The last 100 pods that did.',
    labelNames: ['namespace', 'pod'],
    registers: this.#registers,
  })
  readonly moduleErrors = this.#counter(
    'collector_module_errors_total',
    'Records that a filter module failed at, kept as they were.',
  )
  readonly fileReloads = this.#counter<'taken' | 'refused'>(
    'collector_file_reloads_total',
    'Certificates, keys and secrets in files that were replaced while the process ran, and whether the new ones can be used.',
    ['result'],
  )
  readonly inputProblems = this.#counter<InputProblem>(
    'collector_input_problems_total',
    'Names in the log directory that could not be read.',
    ['reason'],
  )
  readonly connections = this.#counter('collector_connections_total', 'Connections made to an aggregator.')
  readonly connectionErrors = this.#counter<string>(
    'collector_connection_errors_total',
    'Connections that failed or broke.',
    ['reason'],
  )
  readonly resolutions = this.#counter<'ok' | ResolveProblem>(
    'collector_resolutions_total',
    'Times a name in aggregator.address was resolved, by what came of it.',
    ['result'],
  )
  readonly aggregators = this.#gauge(
    'collector_aggregators',
    'Aggregators known: those in use, standing by, suspected because they owe an answer, away, and refused because their ledger is another.',
    ['state'],
  )
  readonly takeovers = this.#counter<TakeoverReason>(
    'collector_takeovers_total',
    'Times what waited for an aggregator was sent to others: it was gone, it is the same one at another address, or its ledger was given up.',
    ['reason'],
  )
  readonly movedMessages = this.#counter(
    'collector_moved_messages_total',
    'Messages that were sent to another aggregator because the one they were sent to first did not acknowledge them.',
  )
  readonly checkpointWrites = this.#counter(
    'collector_checkpoint_writes_total',
    'Times the checkpoints were made durable.',
  )
  readonly checkpointErrors = this.#counter(
    'collector_checkpoint_errors_total',
    'Times the checkpoints could not be made durable.',
  )
  readonly inputConnections = this.#counter('collector_input_connections_total', 'Connections made by applications.')
  readonly inputMessages = this.#counter('collector_input_messages_total', 'Messages received from applications.')
  readonly inputBytes = this.#counter('collector_input_bytes_total', 'Bytes of messages received from applications.')
  readonly inputAcked = this.#counter(
    'collector_input_acked_messages_total',
    'Messages of applications that an aggregator has acknowledged.',
  )
  readonly inputRepeats = this.#counter(
    'collector_input_repeated_messages_total',
    'Messages that an application sent again and that were not passed on a second time.',
  )
  readonly inputErrors = this.#counter<ReceiveProblem>(
    'collector_input_errors_total',
    'What applications sent and was refused, by reason.',
    ['reason'],
  )
  readonly inputHeartbeats = this.#counter(
    'collector_input_heartbeats_total',
    'UDP heartbeats answered on the Forward port.',
  )
  readonly inputInFlightBytes = this.#gauge(
    'collector_input_in_flight_bytes',
    'Bytes of messages from applications sent and not acknowledged, with what keeping them costs.',
  )
  readonly configReloads = this.#counter<ReloadResult>(
    'collector_config_reloads_total',
    'Times the configuration was loaded again, by what came of it.',
    ['result'],
  )
  readonly configStale = this.#gauge(
    'collector_config_stale',
    '1 while the configuration file is not what the collector goes by: it can not be used, or a key waits for a restart.',
  )
  readonly logs = this.#gauge(
    'collector_logs',
    'Logs known, by what is done with them: read, waiting until their pod is known, or excluded.',
    ['state'],
  )
  readonly sources = this.#gauge('collector_sources', 'Sources known: generations of log files.')
  readonly openFiles = this.#gauge('collector_open_files', 'Log files held open.')
  readonly unreadBytes = this.#gauge('collector_unread_bytes', 'Bytes in log files that are not read yet.')
  readonly oldestUnread = this.#gauge(
    'collector_oldest_unread_seconds',
    'For how long the oldest byte that could be read waits to be read; 0 when there is none.',
  )
  readonly unfinishedBytes = this.#gauge(
    'collector_unfinished_bytes',
    'Unread bytes that wait for the rest of their line or of their stack trace.',
  )
  readonly unlinkedBytes = this.#gauge('collector_unlinked_bytes', 'Unread bytes of deleted files that are held open.')
  readonly spoolBytes = this.#gauge('collector_spool_bytes', 'What unread bytes of deleted files take in the spool.')
  readonly spooledBytes = this.#counter(
    'collector_spooled_bytes_total',
    'Unread bytes of deleted files that were saved to the spool, before compression.',
  )
  readonly spoolErrors = this.#counter<SpoolProblem>(
    'collector_spool_errors_total',
    'Deleted files that could not be saved to the spool, and spool files that were damaged.',
    ['reason'],
  )
  readonly inFlightChunks = this.#gauge(
    'collector_in_flight_chunks',
    'Chunks, and messages of applications, sent and not acknowledged.',
  )
  readonly inFlightBytes = this.#gauge('collector_in_flight_bytes', 'Compressed bytes sent and not acknowledged.')
  readonly connected = this.#gauge('collector_connected', '1 while an aggregator can be sent to.')

  /** Node's own metrics, from now on. Its time of CPU counts from here. */
  collectProcess(): void {
    // Its default looks at the event loop a hundred times a second, half of what an idle collector costs.
    collectDefaultMetrics({ register: this.registry, prefix: 'collector_', eventLoopMonitoringPrecision: 1000 })
  }

  #counter<Label extends string = never>(name: string, help: string, labelNames: string[] = []) {
    const counter = new Counter({ name, help, labelNames, registers: this.#registers })
    let total = 0
    return {
      inc(count = 1, label?: Label): void {
        total += count
        if (label === undefined) counter.inc(count)
        else counter.inc({ [labelNames[0]!]: label }, count)
      },
      /** Of all labels together. */
      get total(): number {
        return total
      },
    }
  }

  #gauge(name: string, help: string, labelNames: string[] = []) {
    return new Gauge({ name, help, labelNames, registers: this.#registers })
  }
}
