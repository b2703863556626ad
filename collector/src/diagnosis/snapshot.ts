/**
 * What is known of logs at one moment, as plain data: from a running collector, or from what one left on disk. {@link explain} turns it
 * into words. All sizes and positions are bytes of the uncompressed file, all times milliseconds before the snapshot.
 */
import type { AggregatorState } from '../forward/aggregators.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import type { NameTrouble } from '../resolve/directory.ts'

/** Which logs are asked for: all that agree with every part given. */
export interface LogFilter {
  readonly namespace?: string | undefined
  readonly pod?: string | undefined
  readonly container?: string | undefined
}

export interface Snapshot {
  /** Directory whose names lead to logs. */
  readonly logsPath: string
  /** Why that directory can't be listed. */
  readonly logsProblem?: string
  /** Undefined when it is told from the state directory, without a running collector. */
  readonly collector?: CollectorSnapshot
  readonly logs: readonly LogSnapshot[]
}

export interface CollectorSnapshot {
  /** All of the log directory was looked at once. */
  readonly ready: boolean
  readonly aggregators: readonly AggregatorSnapshot[]
  /** Why aggregators are refused, and the way out. */
  readonly refusal?: string
  /** Names of aggregators that do not resolve. */
  readonly unresolved: readonly NameTrouble[]
  /** Compressed bytes sent and not acknowledged, and how many there may be. */
  readonly inFlightBytes: number
  readonly inFlightLimit: number
  readonly openFiles: number
  readonly openFilesLimit: number
  /** How long a written line may wait for more lines, and a record's beginning for its end, ms. */
  readonly flushInterval: number
  readonly partialTimeout: number
  /** Why the configuration file is not what the collector runs with. */
  readonly staleConfig?: string
}

export interface AggregatorSnapshot {
  readonly address: string
  /** The configured address it comes from. */
  readonly from: string
  /**
   * `standby`: it would take sources if others were away. `leaving`: not among the addresses any more, and still there. `suspect`: it owes an
   * answer for too long. `refused`: its ledger is another.
   */
  readonly state: AggregatorState
  readonly listed: boolean
  readonly connected: boolean
  /** Why it is not connected, where that was tried. */
  readonly failure?: string | undefined
  /** Chunks and questions without an answer, and how many there may be. */
  readonly waiting: number
  readonly window: number
  /** Since the last answer or the connection. */
  readonly silentFor: number
}

/** Where a source is sent, and why there. */
export interface RouteSnapshot {
  readonly address: string
  /** `in_flight`: its hash leads elsewhere, and it stays until its chunks are acknowledged. `none_usable`: what comes waits there. */
  readonly why: 'only' | 'hash' | 'in_flight' | 'none_usable'
  /** Chunks of it that wait there. */
  readonly chunks: number
  /** Aggregators that take sources. */
  readonly others: number
  readonly next?: string
}

/** One name in the log directory. */
export interface NameSnapshot {
  readonly name: string
  /** Where the link leads; undefined for a file that is no link. */
  readonly leadsTo?: string
  /** It leads nowhere, or not to a file that can be read. */
  readonly problem?: string
}

/** One log with all its generations. */
export interface LogSnapshot {
  readonly namespace?: string
  readonly pod?: string
  readonly container?: string
  /** Directory of its generations in the kubelet's layout, else the file. */
  readonly path: string
  readonly names: readonly NameSnapshot[]
  /** The rule or annotation that leaves it out. */
  readonly excludedBy?: string
  /** What the Kubernetes API told about its pod; `off`: it is not asked. */
  readonly metadata?: 'known' | 'partial' | 'waiting' | 'off'
  /** Why the Kubernetes API tells nothing at the moment. */
  readonly metadataTrouble?: string
  readonly policy?: LogPolicy
  /** What decided the policy. */
  readonly policyFrom?: string
  /** From the oldest to the newest. */
  readonly sources: readonly SourceSnapshot[]
  /** What was lost or left out on purpose since the collector's start, the newest last. */
  readonly gaps: readonly GapSnapshot[]
  /** Errors met since the collector's start, the newest last. */
  readonly errors: readonly ErrorSnapshot[]
}

export interface GapSnapshot {
  readonly path: string
  readonly kind: 'lost' | 'filtered'
  readonly reason: string
  readonly from: number
  readonly to: number
}

export interface ErrorSnapshot {
  readonly path: string
  readonly text: string
  readonly ago: number
}

/** One generation of a log. */
export interface SourceSnapshot {
  /** Hex of its id; undefined for a file nobody has identified yet. */
  readonly source?: string
  readonly path: string
  /**
   * `unidentified`: without a whole first line so far, or not looked at. `new`, `asking`: before the ledger told where it goes on.
   * `done`: acknowledged to its end. `gone`: a checkpoint whose file is not there.
   */
  readonly state: 'unidentified' | 'new' | 'asking' | 'reading' | 'done' | 'gone'
  readonly size: number
  /** A compressed file tells its size only at its end. */
  readonly sizeUnknown?: boolean
  readonly read: number
  /** Without a gap. */
  readonly acknowledged: number
  /** Chunks sent and not acknowledged. */
  readonly chunksInFlight: number
  readonly open: boolean
  /** No name leads to it any more. */
  readonly unlinked: boolean
  /** Its file is deleted, and what was unread of it is in the spool. */
  readonly spooled?: boolean
  /** Nothing will be written to it any more. */
  readonly ended: boolean
  /** Since when bytes are unread. */
  readonly unreadFor?: number
  /** Since when what is unread is not a whole record. */
  readonly unfinishedFor?: number
  readonly lastAckAgo?: number
  /** Where it is sent to; undefined where nobody is known yet. */
  readonly route?: RouteSnapshot
}

export function matches(filter: LogFilter, log: LogFilter): boolean {
  return (['namespace', 'pod', 'container'] as const).every(
    (key) => filter[key] === undefined || filter[key] === log[key],
  )
}

/** How people write a log: namespace/pod/container, or a file's path. */
export function nameOf({
  namespace,
  pod,
  container,
  path,
}: Pick<LogSnapshot, 'namespace' | 'pod' | 'container' | 'path'>): string {
  return pod === undefined ? path : `${namespace}/${pod}/${container}`
}
