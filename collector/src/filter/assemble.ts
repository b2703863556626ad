/** The stages of one log: what its policy wants, then what the configuration does, in order. */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import { ParseStage } from '../parse/parse-stage.ts'
import { type Condition, conditionOf } from './condition.ts'
import type { FilterConfig } from './config.ts'
import { parseExpression } from './expression.ts'
import { type FieldChange, fieldStage, removeFields, renameFields, setFields } from './fields.ts'
import { moduleStage } from './module-stage.ts'
import type { Prepared } from './prepared.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { redactStage } from './redact/redact-stage.ts'
import type { Stage } from './stage.ts'
import { dropStage, excludeStage, ofStream, rateStage, sampleStage } from './stages.ts'
import { countOne, type Tally } from './tally.ts'

export interface Assembly {
  /** Structured metadata behind the last stage. */
  readonly metadata: Readonly<Record<string, string>>
  readonly stages: readonly Stage[]
}

export interface Shared {
  readonly prepared: Prepared
  readonly limiter: RateLimiter
  readonly tally: Tally
}

/** Puts the stages of one log together, one after the other: what is known of its records changes on the way. */
export function assemble(stream: StreamMetadata, policy: LogPolicy, shared: Shared): Assembly {
  const assembler = new Assembler(stream, shared)
  assembler.addPolicy(policy)
  for (const [i, entry] of shared.prepared.filters.entries()) assembler.addFilter(entry, i)
  return assembler
}

class Assembler implements Assembly {
  metadata: Readonly<Record<string, string>>
  readonly stages: Stage[] = []
  readonly #labels: Readonly<Record<string, string>>
  readonly #shared: Shared
  /** Names the log whatever restarts: pod and container, or the file. */
  readonly #identity: string
  readonly #pod: string
  #ownAttributes = false

  constructor({ labels, metadata }: StreamMetadata, shared: Shared) {
    this.metadata = metadata
    this.#labels = labels
    this.#shared = shared
    this.#pod = metadata['pod_uid'] ?? labels['filename'] ?? ''
    this.#identity = `${this.#pod}/${labels['container'] ?? ''}`
  }

  addPolicy(policy: LogPolicy): void {
    const [stdout, stderr] = policy
    this.#add(excludeStage('exclude', [stdout.exclude, stderr.exclude]))
    this.#addByStream(
      policy,
      ({ sample }) => sample,
      (sample) => sampleStage('sample', sample, this.#identity, true),
    )
    this.#addByStream(
      policy,
      ({ rateLimit }) => rateLimit && `${rateLimit.linesPerSecond}/${rateLimit.burst}`,
      (name, { rateLimit }) => rateLimit && this.#rateStage('rateLimit', name!, rateLimit, true),
    )
    this.#addByStream(
      policy,
      ({ parser }) => parser,
      (parser) => this.#parseStage(parser),
    )
  }

  addFilter(entry: FilterConfig, index: number): void {
    const kind = (Object.keys(entry) as (keyof FilterConfig)[]).find(
      (key) => key !== 'name' && entry[key] !== undefined,
    )!
    const name = entry.name ?? `filters.${index}.${kind}`
    if (entry.drop !== undefined) this.#add(dropStage(name, this.#condition(entry.drop.where)))
    else if (entry.keep !== undefined) this.#add(dropStage(name, this.#condition(`not (${entry.keep.where})`)))
    else if (entry.sample !== undefined)
      this.#add(sampleStage(name, entry.sample.rate, `${this.#identity}/${index}`, this.#condition(entry.sample.where)))
    else if (entry.rateLimit !== undefined) {
      const { linesPerSecond, burst = Math.max(1, Math.ceil(linesPerSecond)), where } = entry.rateLimit
      this.#add(this.#rateStage(name, String(index), { linesPerSecond, burst }, this.#condition(where)))
    } else if (entry.redact !== undefined)
      this.#add(redactStage(name, entry.redact, this.#shared.prepared.compileRegex, this.#shared.tally))
    else if (entry.module !== undefined) {
      this.#add(
        moduleStage(
          name,
          this.#shared.prepared.modules.get(index)!,
          { labels: this.#labels, metadata: this.metadata },
          this.#shared.tally,
        ),
      )
      this.#ownAttributes = true
    } else if (entry.set !== undefined) this.#addChange(name, setFields(this.metadata, entry.set))
    else if (entry.rename !== undefined) this.#addChange(name, renameFields(this.metadata, entry.rename))
    else if (entry.remove !== undefined) this.#addChange(name, removeFields(this.metadata, entry.remove))
  }

  #add(stage: Stage | undefined): void {
    if (stage !== undefined) this.stages.push(stage)
  }

  #addChange(name: string, change: FieldChange): void {
    this.metadata = change.metadata
    if (this.#ownAttributes) this.#add(fieldStage(name, change))
  }

  /** One stage for both streams where they want the same, else one for each. */
  #addByStream<T>(
    policy: LogPolicy,
    wanted: (policy: LogPolicy[0]) => T,
    make: (wanted: T, policy: LogPolicy[0]) => Stage | undefined,
  ): void {
    const [stdout, stderr] = policy.map(wanted) as [T, T]
    if (stdout === stderr) this.#add(make(stdout, policy[0]))
    else {
      this.#add(ofStream(0, make(stdout, policy[0])))
      this.#add(ofStream(1, make(stderr, policy[1])))
    }
  }

  #rateStage(
    name: string,
    bucket: string,
    limit: { linesPerSecond: number; burst: number },
    condition: Condition | boolean,
  ) {
    const { limiter, tally } = this.#shared
    return rateStage(name, {
      limiter,
      limit,
      condition,
      bucket: `${this.#pod}/${bucket}`,
      onLimited: () => void tally.rateLimited++,
    })
  }

  #parseStage(name: string | undefined): Stage | undefined {
    const parser = this.#shared.prepared.parsers.get(name ?? '')
    if (parser === undefined) return undefined
    this.#ownAttributes = true
    return new ParseStage(`parser ${parser.name}`, {
      parser,
      taken: [...Object.keys(this.#labels), ...Object.keys(this.metadata)],
      onError: (failed) => countOne(this.#shared.tally.parseErrors, failed),
    })
  }

  #condition(where: string | undefined): Condition | boolean {
    if (where === undefined) return true
    return conditionOf(parseExpression(where), {
      labels: this.#labels,
      metadata: this.metadata,
      ownAttributes: this.#ownAttributes,
      compileRegex: this.#shared.prepared.compileRegex,
    })
  }
}
