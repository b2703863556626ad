/** Decides whether and how each log is read, from the configuration and from what is known of its pod. */
import { basename, join } from 'node:path'
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { StreamFilter } from '../filter/stream-filter.ts'
import { type LogPolicy, usualPolicy } from '../metadata/log-policy.ts'
import type { PodFacts } from '../metadata/pod-facts.ts'
import type { RecordDetector } from '../multiline/detector.ts'
import type { FamilyOrigin } from './family.ts'
import type { Decision, Treatment } from './treatment.ts'

export interface TreatmentsOptions {
  readonly cluster: string
  readonly node: string
  /** The joining of lines that a policy names; undefined for none. */
  detectorOf(name: string): RecordDetector | undefined
  filterOf(stream: StreamMetadata, policy: LogPolicy): StreamFilter | undefined
}

export class Treatments {
  readonly #options: TreatmentsOptions

  constructor(options: TreatmentsOptions) {
    this.#options = options
  }

  decide(origin: FamilyOrigin): Decision {
    return this.#decision(origin, undefined)
  }

  #decision(origin: FamilyOrigin, _facts: PodFacts | undefined): Decision {
    const treatments = new Map<string | undefined, Treatment>()
    return {
      verdict: 'read',
      by: '',
      treat: (restart) => {
        const containerId = origin.containerId(restart)
        let treatment = treatments.get(containerId)
        if (treatment === undefined) {
          treatment = this.#treatment(origin, containerId)
          treatments.set(containerId, treatment)
        }
        return treatment
      },
    }
  }

  #treatment(origin: FamilyOrigin, containerId: string | undefined): Treatment {
    const policy = usualPolicy
    const stream = this.#describe(origin, containerId)
    const filter = this.#options.filterOf(stream, policy)
    return {
      stream: filter ? { labels: stream.labels, metadata: filter.metadata } : stream,
      detectors: [this.#options.detectorOf(policy[0].multiline), this.#options.detectorOf(policy[1].multiline)],
      filter,
      partial: false,
    }
  }

  #describe(origin: FamilyOrigin, containerId: string | undefined): StreamMetadata {
    const { cluster, node } = this.#options
    const { identity, directory, base } = origin
    if (identity === undefined) {
      const path = join(directory, base ?? '')
      return { labels: { cluster, node, filename: path, service_name: basename(path, '.log') }, metadata: {} }
    }
    const { namespace, pod, container, uid } = identity
    return {
      labels: { cluster, node, namespace, pod, container },
      metadata: { pod_uid: uid, ...(containerId ? { container_id: containerId } : {}) },
    }
  }
}
