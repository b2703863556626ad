/** Does with the lines of each case what a collector does with those of a container: joins, parses and filters them, by the same code. */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { CollectorConfig } from '../config.ts'
import { CriParser } from '../cri/line.ts'
import type { RecordTrace, Tap } from '../filter/trace.ts'
import type { AnnotationProblem } from '../metadata/annotations.ts'
import type { PodFacts } from '../metadata/pod-facts.ts'
import { ChunkCutter } from '../tail/cutter.ts'
import { treatmentsBy } from '../treatments-by.ts'
import { type GoldenCase, linesOf } from './golden-config.ts'

/** What became of a record, and what all records of its log share. */
export interface Outcome {
  readonly trace: RecordTrace
  readonly stream: StreamMetadata
}

export interface CaseRun {
  readonly outcomes: readonly Outcome[]
  /** The rule or annotation by which nothing of the log is read. */
  readonly excludedBy: string | undefined
  /** Annotations that can't be followed, modules that throw. */
  readonly problems: readonly string[]
}

/** Throws what is wrong with the configuration's filters, patterns and modules. */
export async function runCase(config: CollectorConfig, configFile: string, golden: GoldenCase): Promise<CaseRun> {
  const outcomes: Outcome[] = []
  const problems: string[] = []
  const tap: Tap = {
    begin: () => undefined,
    wants: () => true,
    show: (trace, stream) => outcomes.push({ trace, stream }),
  }
  const treatments = await treatmentsBy(
    { ...config, kubernetes: { ...config.kubernetes, enabled: true } },
    {
      pods: {
        find: () => factsOf(golden),
        findByAddress: () => undefined,
        onChange: () => undefined,
        close: async () => undefined,
      },
      problems: { tell: (found) => problems.push(...found.map(describeProblem)) },
      filterCounts: {
        // A collector keeps the record and goes on; who tests a module wants to know.
        add: ({ moduleError }) => {
          if (moduleError !== undefined) problems.push(`the module ${moduleError}`)
        },
        onSlow: () => undefined,
        onFailed: () => undefined,
      },
      taps: { find: () => tap },
      configFile,
    },
  )
  const { namespace, pod, container } = golden
  const origin = {
    directory: `/var/log/pods/${namespace}_${pod}_${uid}/${container}`,
    base: undefined,
    identity: { namespace, pod, container, uid },
    containerId: () => 'test',
  }
  const decision = treatments.decide({ origin, foundAt: 0, decision: undefined }, 0)
  if (decision.verdict === 'excluded') return { outcomes, excludedBy: decision.by, problems }
  const { detectors, filter } = decision.treat(0)
  const { records, count, length } = cut(config, golden, detectors)
  await filter!.apply(records, count, [0, length])
  return { outcomes, excludedBy: undefined, problems }
}

/** What a sample goes by: it must be the same for all runs. */
const uid = '00000000-0000-0000-0000-000000000000'

function factsOf({ namespace, pod, container, labels, annotations }: GoldenCase): PodFacts {
  return {
    uid,
    namespace,
    name: pod,
    labels,
    annotations,
    namespaceLabels: {},
    addresses: [],
    workload: undefined,
    containers: { [container]: { image: 'image', imageId: undefined } },
  }
}

function cut(
  { logs, multiline }: CollectorConfig,
  golden: GoldenCase,
  detectors: Parameters<ChunkCutter['cut']>[0]['detectors'],
) {
  const file = linesOf(golden).map((line, i) => {
    const time = new Date(Date.UTC(2026, 0, 1) + i).toISOString()
    return `${time} ${golden.stream} F ${line}\n`
  })
  const bytes = Buffer.from(file.join(''))
  const cutter = new ChunkCutter({
    maxLineBytes: Math.max(logs.maxLineBytes, bytes.length),
    maxLines: multiline.maxLines,
  })
  cutter.cut({
    bytes,
    offset: 0,
    parser: new CriParser(),
    detectors,
    midLine: false,
    seconds: 0,
    nanoseconds: 0,
    rest: 'all',
  })
  return { records: cutter.out.subarray(0, cutter.encodedBytes), count: cutter.records, length: bytes.length }
}

function describeProblem({ annotation, value, cure }: AnnotationProblem): string {
  return `annotation ${annotation}: "${value}" can't be followed; ${cure}`
}
