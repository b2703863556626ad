/** What is said about a log's pod: whether it is read at all, what is known of it, and what is done with its lines. Pure. */
import type { LogPolicy, StreamPolicy } from '../metadata/log-policy.ts'
import { type Finding, fine, notice } from './finding.ts'
import type { LogSnapshot } from './snapshot.ts'

export function explainPolicy(log: LogSnapshot): Finding[] {
  if (log.excludedBy !== undefined) return [notice('excluded', `it is not read: ${log.excludedBy}`)]
  return [...explainMetadata(log), ...(log.policy ? [explainStreams(log.policy, log.policyFrom)] : [])]
}

function explainMetadata({ metadata, metadataTrouble }: LogSnapshot): Finding[] {
  const because = metadataTrouble === undefined ? '' : `; ${metadataTrouble}`
  switch (metadata) {
    case 'known':
      return [fine('metadata', 'the pod is known: its records carry labels, workload and image')]
    case 'partial':
      return [
        notice(
          'metadata_partial',
          `the Kubernetes API told nothing of this pod in time: its records carry what the path says, and partial_metadata${because}`,
        ),
      ]
    case 'waiting':
      return [notice('metadata_waiting', `it waits to be read until the pod is known, for a bounded time${because}`)]
    default:
      return []
  }
}

function explainStreams([stdout, stderr]: LogPolicy, from: string | undefined): Finding {
  const [out, err] = [describeStream(stdout), describeStream(stderr)]
  const what = out === err ? out : `stdout ${out}; stderr ${err}`
  return fine('policy', `its lines: ${what}${from === undefined ? '' : ` (from ${from})`}`)
}

function describeStream({ exclude, parser, multiline, sample, rateLimit }: StreamPolicy): string {
  if (exclude) return 'left out'
  return [
    multiline === 'off' ? 'not joined' : `joined (multiline ${multiline})`,
    parser === undefined ? 'not parsed' : `parsed as ${parser}`,
    ...(sample === 1 ? [] : [`a share of ${sample} kept`]),
    ...(rateLimit === undefined
      ? []
      : [`at most ${rateLimit.linesPerSecond} a second with a burst of ${rateLimit.burst}`]),
  ].join(', ')
}
