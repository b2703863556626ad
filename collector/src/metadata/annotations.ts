/**
 * What a pod's annotations want done with its lines (docs/annotations.md): `tributary.io/<what>[_<stream>][.<container>]`, and as a
 * fallback Fluent Bit's `fluentbit.io/<what>[_<stream>][-<container>]`. Pure.
 */
import { fluentBitReaders, type KnownNames, type ValueReader, valueReaders } from './annotation-values.ts'
import type { LogPolicy, StreamPolicy } from './log-policy.ts'
import type { PodFacts } from './pod-facts.ts'

export const ownPrefix = 'tributary.io/'
export const fluentBitPrefix = 'fluentbit.io/'

export type AnnotationProblemReason = 'unknown_annotation' | 'unknown_container' | 'bad_value'

/** An annotation that could not be followed. All others of the pod still are. */
export interface AnnotationProblem {
  readonly reason: AnnotationProblemReason
  readonly namespace: string
  readonly pod: string
  readonly annotation: string
  readonly value: string
  /** What to do about it. */
  readonly cure: string
}

export interface PolicyReading {
  readonly policy: LogPolicy
  /** Names of the annotations that decided something, in no order. */
  readonly annotations: readonly string[]
  /** The annotations that leave the whole log out; undefined when one of its streams is read. */
  readonly excludedBy: string | undefined
  readonly problems: readonly AnnotationProblem[]
}

export interface PolicyOptions {
  /** What holds where no annotation says anything. */
  readonly usual: LogPolicy
  readonly known: KnownNames
}

const streams = ['stdout', 'stderr'] as const
/** Of a value in a problem, characters: it may be 256 KiB. */
const shown = 200

/** An annotation that says something about a log, for streams and containers it names, or for all. */
interface Wish {
  readonly annotation: string
  readonly value: string
  readonly reader: ValueReader
  readonly stream: string | undefined
  readonly container: string | undefined
  readonly own: boolean
}

/** What is done with the lines of one container. Without facts or annotations: `usual` itself. */
export function policyOf(facts: PodFacts | undefined, container: string, options: PolicyOptions): PolicyReading {
  const { usual, known } = options
  if (facts === undefined) return { policy: usual, annotations: [], excludedBy: undefined, problems: [] }
  const problems: AnnotationProblem[] = []
  const complain: Complain = (annotation, value, reason, cure) =>
    problems.push({
      reason,
      namespace: facts.namespace,
      pod: facts.name,
      annotation,
      value: value.slice(0, shown),
      cure,
    })
  const granted: Granted[] = []
  for (const wish of wishesOf(facts, container, complain)) {
    const parsed = wish.reader.read(wish.value, known)
    if ('cure' in parsed) complain(wish.annotation, wish.value, 'bad_value', `write ${parsed.cure}`)
    else granted.push({ ...wish, read: parsed.value })
  }
  return { ...combine(usual, granted), problems }
}

interface Granted extends Wish {
  /** What the value means. */
  readonly read: unknown
}

/** Own before Fluent Bit's, then for a container before for all, then for a stream before for both. */
function weight({ own, container, stream }: Wish): number {
  return (own ? 4 : 0) + (container === undefined ? 0 : 2) + (stream === undefined ? 0 : 1)
}

function combine(usual: LogPolicy, granted: readonly Granted[]): Omit<PolicyReading, 'problems'> {
  const winners = streams.map((stream) => {
    const winner = new Map<string, Granted>()
    for (const one of granted) {
      const before = winner.get(one.reader.key)
      const applies = (one.stream ?? stream) === stream
      if (applies && (before === undefined || weight(one) > weight(before))) winner.set(one.reader.key, one)
    }
    return winner
  })
  const policy = usual.map((one, index) => {
    const wanted = [...winners[index]!].map(([key, { read }]) => [key, read])
    return wanted.length === 0 ? one : { ...one, ...Object.fromEntries(wanted) }
  }) as [StreamPolicy, StreamPolicy]
  const excluding = winners.map((winner) => winner.get('exclude')?.annotation)
  const annotations = winners.flatMap((winner) => [...winner.values()].map(({ annotation }) => annotation))
  return {
    policy: annotations.length === 0 ? usual : policy,
    annotations: [...new Set(annotations)],
    excludedBy: policy.every(({ exclude }) => exclude) ? [...new Set(excluding)].join(', ') : undefined,
  }
}

type Complain = (annotation: string, value: string, reason: AnnotationProblemReason, cure: string) => void

/** What the annotations say about a container, and about all. */
function wishesOf({ annotations, containers }: PodFacts, container: string, complain: Complain): Wish[] {
  const wishes: Wish[] = []
  for (const [annotation, value] of Object.entries(annotations)) {
    const own = annotation.startsWith(ownPrefix)
    if (!own && !annotation.startsWith(fluentBitPrefix)) continue
    const parts = own ? partsOf(annotation) : fluentBitPartsOf(annotation)
    if (parts === undefined) {
      // Fluent Bit has annotations of no meaning here.
      if (own) complain(annotation, value, 'unknown_annotation', `write ${describeNames()}`)
    } else if (own && parts.container !== undefined && containers[parts.container] === undefined) {
      const there = Object.keys(containers).join(', ')
      complain(annotation, value, 'unknown_container', `name a container of the pod: ${there}`)
    } else if ((parts.container ?? container) === container) wishes.push({ annotation, value, own, ...parts })
  }
  return wishes
}

type Parts = Pick<Wish, 'reader' | 'stream' | 'container'>

/** No container's name has a dot, no other part either. */
function partsOf(annotation: string): Parts | undefined {
  const match = /^([a-z-]+?)(?:_(stdout|stderr))?(?:\.([^.]+))?$/.exec(annotation.slice(ownPrefix.length))
  return partsBy(valueReaders, match)
}

function fluentBitPartsOf(annotation: string): Parts | undefined {
  const match = /^([a-z]+)(?:_(stdout|stderr))?(?:-(.+))?$/.exec(annotation.slice(fluentBitPrefix.length))
  return partsBy(fluentBitReaders, match)
}

function partsBy(readers: Readonly<Record<string, ValueReader>>, match: RegExpExecArray | null): Parts | undefined {
  const what = match?.[1] ?? ''
  if (!Object.hasOwn(readers, what)) return undefined
  return { reader: readers[what]!, stream: match?.[2], container: match?.[3] }
}

function describeNames(): string {
  return `${ownPrefix}<what>, with _stdout or _stderr for one stream and .<container> for one container; <what> is one of ${Object.keys(valueReaders).join(', ')}`
}
