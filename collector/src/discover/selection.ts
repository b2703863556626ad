/** Which logs are read, by the configuration's `logs.include` and `logs.exclude`: decided before a byte is read. Pure. */
import { z } from 'zod'
import { compileGlob, type NameMatcher } from '../metadata/glob.ts'
import type { PodIdentity } from './layout.ts'

const pattern = z.string().min(1)

const rule = z
  .strictObject({
    namespace: pattern.optional(),
    pod: pattern.optional(),
    container: pattern.optional(),
    labels: z.record(z.string().min(1), pattern).optional(),
  })
  .refine(({ labels, ...names }) => Object.values({ ...names, ...labels }).some((value) => value !== undefined), {
    error: 'a rule without a key would match every log: name a namespace, pod, container or labels',
  })

export type SelectionRule = z.output<typeof rule>

const keys =
  "by `namespace`, `pod`, `container` and `labels` (of the pod), with `*` and `?`; a rule matches when all of its keys do. Needs the kubelet's layout; rules with `labels` need `kubernetes.enabled`."

/** Keys of the section `logs`. */
export const selectionConfig = {
  include: z
    .array(rule)
    .default([])
    .describe(
      `Logs that are read, as a list of rules ${keys} Empty: all. Files that are no container's are always read.`,
    ),
  exclude: z
    .array(rule)
    .default([])
    .describe('Logs that are not read, as a list of the same rules. Wins over `include` and over annotations.'),
}

export interface SelectionConfig {
  readonly include: readonly SelectionRule[]
  readonly exclude: readonly SelectionRule[]
}

/** The rules that match no log where nobody tells the labels of pods, as `logs.exclude[1]`. */
export function rulesByLabels(selection: SelectionConfig): string[] {
  return (['include', 'exclude'] as const).flatMap((kind) =>
    selection[kind].flatMap(({ labels }, i) => (labels === undefined ? [] : [`logs.${kind}[${i}]`])),
  )
}

/** `undecided`: a rule asks for labels of a pod that is not known yet. */
export interface Selected {
  readonly verdict: 'read' | 'excluded' | 'undecided'
  /** The rule that decided or that waits, as `logs.exclude[1]`; that none of several matched, as `logs.include`; '' where no rule says anything. */
  readonly by: string
}

/** Tells whether a container's log is read. `labels` are the pod's, undefined while it is not known. */
export type Select = (identity: PodIdentity, labels: Readonly<Record<string, string>> | undefined) => Selected

type Match = 'yes' | 'no' | 'unknown'

interface CompiledRule {
  readonly by: string
  matches(identity: PodIdentity, labels: Readonly<Record<string, string>> | undefined): Match
}

/** The function for one configuration. */
export function selectBy({ include, exclude }: SelectionConfig): Select {
  const included = include.map((one, index) => compile(one, `logs.include[${index}]`))
  const excluded = exclude.map((one, index) => compile(one, `logs.exclude[${index}]`))
  const best = (rules: readonly CompiledRule[], identity: PodIdentity, labels: Parameters<Select>[1]) => {
    const found = rules.map((one) => ({ by: one.by, match: one.matches(identity, labels) }))
    return found.find(({ match }) => match === 'yes') ?? found.find(({ match }) => match === 'unknown')
  }
  return (identity, labels) => {
    const against = best(excluded, identity, labels)
    if (against?.match === 'yes') return { verdict: 'excluded', by: against.by }
    const favour = best(included, identity, labels)
    // Whatever the labels are, no rule lets it in.
    if (included.length > 0 && favour === undefined) return { verdict: 'excluded', by: 'logs.include' }
    if (against !== undefined) return { verdict: 'undecided', by: against.by }
    if (favour?.match === 'unknown') return { verdict: 'undecided', by: favour.by }
    return { verdict: 'read', by: favour?.by ?? '' }
  }
}

function compile({ labels, ...names }: SelectionRule, by: string): CompiledRule {
  const parts = (['namespace', 'pod', 'container'] as const).flatMap((key): [typeof key, NameMatcher][] => {
    const wanted = names[key]
    return wanted === undefined ? [] : [[key, compileGlob(wanted)]]
  })
  const wanted = Object.entries(labels ?? {}).map(([name, value]) => [name, compileGlob(value)] as const)
  return {
    by,
    matches(identity, podLabels) {
      if (!parts.every(([key, matches]) => matches(identity[key]))) return 'no'
      if (wanted.length === 0) return 'yes'
      if (podLabels === undefined) return 'unknown'
      const all = wanted.every(([name, matches]) => podLabels[name] !== undefined && matches(podLabels[name]))
      return all ? 'yes' : 'no'
    },
  }
}
