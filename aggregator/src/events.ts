/** Everything worth telling that happens in the aggregator: one function each, log and metric together. */
import type { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import { RepeatFilter } from '@tributary/protocol/repeat-filter.ts'
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import type { BlockReport, Quarantined, Retry } from './load/messages.ts'
import type { Logger } from './log.ts'
import type { AggregatorMetrics } from './metrics.ts'
import type { PushOutcome } from './push/pusher.ts'
import { type StoreErrorCode, treatmentOf } from './store/error.ts'
import type { SyslogProblem } from './syslog/metrics.ts'
import type { WalEvent } from './wal/event.ts'

export class AggregatorEvents {
  readonly #log: Logger
  readonly #metrics: AggregatorMetrics
  readonly #repeats = new RepeatFilter()
  /** What was refused, set aside, or failed and is tried again, since the start. */
  errors = 0
  storedRows = 0
  /** Why the last attempt to load failed; undefined when it didn't. */
  loadError: string | undefined
  /** By what the store asks for less, so that waiting for it is no fault of ours. */
  backPressure: StoreErrorCode | undefined

  constructor(log: Logger, metrics: AggregatorMetrics) {
    this.#log = log
    this.#metrics = metrics
  }

  /** Of certificates, keys and secrets in files. */
  readonly files: WatchedFileEvents = {
    onChange: (key) => {
      this.#metrics.fileReloads.inc(1, 'taken')
      this.#log.info({ key }, 'a file was replaced and is used from now on')
    },
    onProblem: (key, detail) => {
      this.errors++
      this.#metrics.fileReloads.inc(1, 'refused')
      this.#log.error({ key, detail }, 'a file cannot be used: what it held before stays in use')
    },
  }

  refused(error: ReceiveError, peer: string): void {
    this.errors++
    this.#metrics.receiveErrors.inc(1, error.problem)
    if (error.problem === 'internal') {
      this.#log.error({ err: error.cause, peer }, 'a message brought out a fault; its connection was closed')
      return
    }
    this.#warn(
      `receive ${error.problem}`,
      { reason: error.problem, peer, detail: error.message },
      error.problem === 'silent' ? 'a sender sends nothing' : 'refused',
    )
  }

  syslogProblem(reason: SyslogProblem, peer: string, detail: string): void {
    this.errors++
    this.#warn(`syslog ${reason}`, { reason, peer, detail }, 'syslog')
  }

  unsupported(signal: string): void {
    this.#metrics.receiveErrors.inc(1, 'unsupported_signal')
    this.#warn('receive unsupported', { signal }, 'dropped: only logs are kept')
  }

  pushed({ bytes, discarded, entries, format, problem }: PushOutcome): void {
    const metrics = this.#metrics
    metrics.pushes.inc(1, format)
    metrics.pushedRecords.inc(entries)
    metrics.pushedBytes.inc(bytes)
    for (const [reason, { records, bytes: lines }] of discarded) {
      metrics.discardedRecords.inc(records, reason)
      metrics.discardedBytes.inc(lines, reason)
      this.#warn(`push ${reason}`, { reason, records, detail: problem }, 'pushed records were refused')
    }
  }

  wal(event: WalEvent): void {
    this.#metrics.walEvents.inc(1, event.kind)
    if (event.kind === 'resumed') this.#log.info('the write-ahead log takes data again')
    else if (event.kind === 'torn_tail') this.#log.info({ ...event }, 'an unfinished write was cut off')
    else if (event.kind === 'stalled') {
      this.errors++
      this.#warn(`wal ${event.kind}`, { ...event }, 'the write-ahead log takes no more: senders wait')
    } else {
      this.errors++
      this.#log.error({ ...event }, 'the write-ahead log is damaged: what could not be read is lost')
    }
  }

  walRead(event: string, fields: Readonly<Record<string, unknown>>): void {
    this.errors++
    this.#metrics.walEvents.inc(1, event)
    this.#log.error({ ...fields }, 'the write-ahead log is damaged: what could not be read is lost')
  }

  ledgerDamaged(err: Error, movedTo: string): void {
    this.errors++
    this.#log.error(
      { err, movedTo },
      'the ledger is damaged: what it lacks is taken from its last snapshot and the write-ahead log',
    )
  }

  cursorLost(detail: string): void {
    this.errors++
    this.#log.error({ detail }, 'the cursor is damaged: what the write-ahead log holds is loaded again, maybe twice')
  }

  snapshotFailed(err: unknown): void {
    this.errors++
    this.#warn('snapshot', { err }, 'the ledger could not be made durable; the write-ahead log keeps its segments')
  }

  /** The log of the shared ledger could not be read or written; it is tried again. */
  sharedLedgerFailed(err: unknown): void {
    this.errors++
    this.#warn('shared ledger', { err }, 'the shared ledger does not answer; blocks and collectors that ask wait')
  }

  sharedLedgerUnusable(err: unknown): void {
    this.errors++
    this.loadError = (err as Error).message
    this.#log.error({ err }, 'the shared ledger cannot be read: nothing is loaded any more')
  }

  /** An aggregator was gone and left a block on its way. */
  claimResolved(claim: number, writer: string, days: number, stored: number): void {
    this.#log.warn({ claim, writer, days, stored }, 'a block of an aggregator that is gone was resolved')
  }

  /** The process ends, and its write-ahead log is not empty. */
  leftBehind(bytes: number): void {
    this.#log.warn(
      { bytes },
      'bytes of the write-ahead log are not in the store: they are loaded when an aggregator starts on this volume again',
    )
  }

  loaded(report: BlockReport): void {
    const { rows, bytes, malformed, clamped, truncated, insertSeconds, cpuSeconds } = report
    const metrics = this.#metrics
    this.loadError = undefined
    this.backPressure = undefined
    this.storedRows += rows
    metrics.loadedRows.inc(rows)
    metrics.loadedBytes.inc(bytes)
    metrics.loadedBlocks.inc()
    metrics.malformedEntries.inc(malformed)
    metrics.clampedRows.inc(clamped)
    metrics.truncatedLines.inc(truncated)
    metrics.loaderCpu.inc(cpuSeconds)
    metrics.insertSeconds.observe(insertSeconds)
    if (malformed > 0)
      this.#warn('malformed', { entries: malformed }, 'entries that are no [time, record] were left out')
  }

  loadFailed({ reason, message: detail, attempt, delay }: Retry): void {
    this.errors++
    this.loadError = detail
    this.backPressure = reason !== 'cursor' && treatmentOf(reason).backPressure ? reason : undefined
    this.#metrics.loadRetries.inc(1, reason)
    this.#metrics.loadWaiting.inc(delay / 1000, reason)
    this.#warn(`load ${reason}`, { reason, detail, attempt, delay }, 'a block could not be inserted and is tried again')
  }

  loaderDied(err: Error, heapMegabytes: number): void {
    this.errors++
    this.loadError = err.message
    this.#log.error({ err, heapMegabytes }, 'the loader ended and is started again')
  }

  quarantined({ position, reason, message, path }: Quarantined): void {
    this.errors++
    this.#metrics.quarantined.inc(1, reason)
    this.#log.error({ position, reason, detail: message, path }, 'a message could not be decoded and was set aside')
  }

  lost(source: string, bytes: number): void {
    this.#metrics.lostBytes.inc(bytes, 'corrupt')
    this.#log.error({ source, bytes }, 'bytes of a source are lost: their chunk could not be decoded')
  }

  #warn(cause: string, fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#repeats.pass(cause, (heldBack) => {
      this.#log.warn(heldBack > 0 ? { ...fields, repeatedSinceLast: heldBack } : fields, message)
    })
  }
}
