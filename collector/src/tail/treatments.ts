/** Decides whether and how each log is read, by the configuration and by what is known of its pod. */
import { basename, join } from 'node:path'
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { Select } from '../discover/selection.ts'
import type { StreamFilter } from '../filter/stream-filter.ts'
import type { PolicyReading } from '../metadata/annotations.ts'
import type { Describe } from '../metadata/describe.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import type { PodDirectory, PodFacts } from '../metadata/pod-facts.ts'
import type { RecordDetector } from '../multiline/detector.ts'
import type { Family, FamilyOrigin } from './family.ts'
import type { Decision, Treatment } from './treatment.ts'

export interface TreatmentsOptions {
  readonly cluster: string
  readonly node: string
  readonly select: Select
  readonly describe: Describe
  /** Undefined where nobody is asked about pods. */
  readonly pods: Pick<PodDirectory, 'find'> | undefined
  /** How long the records of an unknown pod wait for it, ms. */
  readonly metadataTimeout: number
  /** What the annotations of a pod want; what holds without them where the pod is not known. */
  policyOf(facts: PodFacts | undefined, container: string): Omit<PolicyReading, 'problems'>
  /** The joining of lines that a policy names; undefined for none. */
  detectorOf(name: string): RecordDetector | undefined
  /** Undefined where nothing is filtered. */
  filterOf(stream: StreamMetadata, policy: LogPolicy): StreamFilter | undefined
}

/** What a decision is made of. */
interface Ground {
  readonly origin: FamilyOrigin
  readonly reading: Omit<PolicyReading, 'problems'>
  readonly partial: boolean
  describe(containerId: string | undefined): StreamMetadata
}

export class Treatments {
  readonly #options: TreatmentsOptions

  constructor(options: TreatmentsOptions) {
    this.#options = options
  }

  /** Whether and how a log is read; the decision it has already while nothing was learnt of its pod. */
  decide({ origin, foundAt, decision }: Pick<Family, 'origin' | 'foundAt' | 'decision'>, now: number): Decision {
    const { pods, metadataTimeout, policyOf, describe, select } = this.#options
    const { identity } = origin
    if (identity === undefined) return this.#decision('read', '', this.#groundOfFile(origin))
    const facts = pods?.find(identity.uid)
    const partial = pods !== undefined && facts === undefined
    const late = !partial || now - foundAt >= metadataTimeout
    // What can't be known is taken for a pod without labels.
    const { verdict, by } = select(identity, facts?.labels ?? (late ? {} : undefined))
    if (verdict !== 'excluded' && !late && decision?.verdict === 'wait') return decision
    const reading = policyOf(facts, identity.container)
    const ground = { origin, reading, partial, describe: (id: string | undefined) => describe(identity, id, facts) }
    if (verdict === 'excluded') return this.#decision('excluded', by, ground)
    if (!late) return this.#decision('wait', '', ground)
    const { excludedBy } = reading
    return excludedBy === undefined
      ? this.#decision('read', '', ground)
      : this.#decision('excluded', `annotation ${excludedBy}`, ground)
  }

  #decision(verdict: Decision['verdict'], by: string, { origin, reading, partial, describe }: Ground): Decision {
    const { detectorOf, filterOf } = this.#options
    const { policy, annotations } = reading
    const detectors = [detectorOf(policy[0].multiline), detectorOf(policy[1].multiline)] as const
    // One for each container that ran under the name: a restarted container has another id.
    let treatments: readonly { readonly containerId: string | undefined; readonly treatment: Treatment }[] = []
    const treat = (restart: number): Treatment => {
      const containerId = origin.containerId(restart)
      const known = treatments.find((one) => one.containerId === containerId)
      if (known !== undefined) return known.treatment
      const { labels, metadata } = describe(containerId)
      const filter = filterOf({ labels, metadata }, policy)
      const treatment = { stream: { labels, metadata: filter?.metadata ?? metadata }, detectors, filter, partial }
      treatments = treatments.concat({ containerId, treatment })
      return treatment
    }
    return { verdict, by, grounds: { policy, annotations, partial }, treat }
  }

  #groundOfFile(origin: FamilyOrigin): Ground {
    const { cluster, node, policyOf } = this.#options
    const path = join(origin.directory, origin.base ?? '')
    const labels = { cluster, node, filename: path, service_name: basename(path, '.log') }
    return { origin, reading: policyOf(undefined, ''), partial: false, describe: () => ({ labels, metadata: {} }) }
  }
}
