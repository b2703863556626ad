/** What is done with a log: whether it is read, and how its records are joined, described and filtered. */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { StreamFilter } from '../filter/stream-filter.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import type { Detectors } from './cutter.ts'

/** What is done with the records of one log. Replaced as a whole when the configuration, or what is known of its pod, changes. */
export interface Treatment {
  /** Labels and structured metadata that all records share. */
  readonly stream: StreamMetadata
  readonly detectors: Detectors
  /** Undefined where nothing is filtered. */
  readonly filter: StreamFilter | undefined
  /** The pod is not known: `stream` says only what the path does. */
  readonly partial: boolean
}

export interface Grounds {
  readonly policy: LogPolicy
  /** The annotations that decided the policy; none where the configuration alone did. */
  readonly annotations: readonly string[]
  /** The pod is not known, or was not in time. */
  readonly partial: boolean
}

/** Whether a log is read. `wait`: not yet, as its pod is not known and may be soon. */
export interface Decision {
  readonly verdict: 'read' | 'wait' | 'excluded'
  /** The rule or annotation that excludes it; '' where none does. */
  readonly by: string
  /** What it was decided on, for those who ask why. */
  readonly grounds?: Grounds
  /** By restart count of the container. */
  treat(restart: number): Treatment
}
