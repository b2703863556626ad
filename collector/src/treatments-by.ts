/** Makes what decides about logs from one configuration. A change of the configuration makes it anew. */
import type { CollectorConfig } from './config.ts'
import { selectBy } from './discover/selection.ts'
import { FilterChain } from './filter/chain.ts'
import type { FilterCounts } from './filter/filter-metrics.ts'
import type { TapSource } from './filter/trace.ts'
import type { AnnotationProblems } from './metadata/annotation-problems.ts'
import { policyOf } from './metadata/annotations.ts'
import { describeBy } from './metadata/describe.ts'
import { usualPolicy } from './metadata/log-policy.ts'
import type { PodDirectory } from './metadata/pod-facts.ts'
import { detectorsBy } from './multiline/detectors.ts'
import { Treatments } from './tail/treatments.ts'

export interface Helpers {
  readonly pods: PodDirectory | undefined
  readonly problems: Pick<AnnotationProblems, 'tell'>
  readonly filterCounts: Pick<FilterCounts, 'add' | 'onSlow' | 'onFailed'>
  /** Those who look at what the filters do. */
  readonly taps: TapSource
  /** The configuration file: what it names is relative to it. */
  readonly configFile: string
}

/** Throws what is wrong with the configuration's rules, patterns and filters. */
export async function treatmentsBy(config: CollectorConfig, helpers: Helpers): Promise<Treatments> {
  const { pods, problems, filterCounts, taps, configFile } = helpers
  const filters = await FilterChain.create({
    config,
    file: configFile,
    onTally: (tally, stream) => filterCounts.add(tally, stream),
    offload: filterCounts,
    taps,
  })
  const known = { parsers: filters.parsers, patterns: Object.keys(config.multiline.patterns) }
  return new Treatments({
    ...config,
    select: selectBy(config.logs),
    describe: describeBy(config),
    pods,
    metadataTimeout: config.kubernetes.metadataTimeout,
    policyOf: (facts, container) => {
      const reading = policyOf(facts, container, { usual: usualPolicy, known })
      problems.tell(reading.problems, facts?.workload)
      return reading
    },
    detectorOf: await detectorsBy(config.multiline, configFile),
    filterOf: (stream, policy) => filters.forStream(stream, policy),
  })
}
