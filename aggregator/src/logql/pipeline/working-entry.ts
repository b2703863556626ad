/**
 * An entry on its way through a pipeline: its line and its labels, by origin. A name belongs to what was parsed, then to structured
 * metadata, then to the stream; a parser never takes a name that stream or metadata have, but calls its label `<name>_extracted`.
 */
import type { Labels } from '../labels.ts'
import { noHints, type ParserHints } from './parser-hints.ts'
import type { CompiledStage } from './stage.ts'

/** What a stage does when it fails: the entry stays, with this in `__error__`. */
export type PipelineErrorType =
  | 'JSONParserErr'
  | 'LogfmtParserErr'
  | 'SampleExtractionErr'
  | 'LabelFilterErr'
  | 'TemplateFormatErr'

export const errorLabel = '__error__'
export const errorDetailsLabel = '__error_details__'
/** Says that the query asked for errors itself, so that they don't fail it. */
export const preserveErrorLabel = '__preserve_error__'
export const extractedSuffix = '_extracted'

export class WorkingEntry {
  /** Nanoseconds since 1970. */
  time = 0n
  /** Bytes that are not UTF-8 stand as lone surrogates, see lines.ts. */
  line = ''
  stream: Labels = new Map()
  metadata: Labels = new Map()
  readonly parsed = new Map<string, string>()
  readonly removed = new Set<string>()
  /** Labels that were parsed and are gone: they are not parsed again. */
  readonly #spent = new Set<string>()
  readonly #hints: ParserHints
  readonly #checks: ReadonlyMap<string, CompiledStage> | undefined
  #missing = 0
  error = ''
  errorDetails = ''

  /** @param checks filters behind, by the one label that they look at */
  constructor(hints: ParserHints = noHints, checks?: ReadonlyMap<string, CompiledStage>) {
    this.#hints = hints
    this.#checks = checks
  }

  begin(time: bigint, line: string, stream: Labels, metadata: Labels): void {
    this.time = time
    this.line = line
    this.stream = stream
    this.metadata = metadata
    if (this.parsed.size > 0) this.parsed.clear()
    if (this.removed.size > 0) this.removed.clear()
    if (this.#spent.size > 0) this.#spent.clear()
    this.#missing = this.#hints.required?.size ?? -1
    this.error = ''
    this.errorDetails = ''
  }

  /** Undefined when there is no such label; '' only for one that a stage made empty. */
  get(name: string): string | undefined {
    const parsed = this.parsed.get(name)
    if (parsed !== undefined) return parsed
    if (this.removed.size > 0 && this.removed.has(name)) return undefined
    return this.metadata.get(name) ?? this.stream.get(name)
  }

  set(name: string, value: string): void {
    const required = this.#hints.required
    if (required?.has(name) && !this.parsed.has(name) && !this.#spent.has(name)) this.#missing--
    this.parsed.set(name, value)
  }

  remove(name: string): void {
    if (this.parsed.delete(name)) this.#spent.add(name)
    this.removed.add(name)
  }

  /** A failure: also kept as a label where the query wants to see it. */
  fail(error: PipelineErrorType, details = ''): void {
    this.error = error
    if (details !== '') this.errorDetails = details
  }

  failParsing(error: PipelineErrorType, details: string): void {
    this.fail(error, details)
    if (this.#hints.preserveError) this.set(preserveErrorLabel, 'true')
  }

  /** The name under which a parser may set `name`; undefined when it must not, as nobody asks for it or it was parsed before. */
  nameToParse(name: string): string | undefined {
    const free = this.clashes(name) ? name + extractedSuffix : name
    const required = this.#hints.required
    if (required !== undefined && !required.has(free)) return undefined
    return this.wasParsed(free) ? undefined : free
  }

  /** Whether a key of that length can be the name of a label that is asked for; of many it cannot. */
  wantsLength(length: number): boolean {
    const { lengths } = this.#hints
    return lengths === undefined || lengths.has(length)
  }

  /** Whether a filter that only looks at this label, which was set just now, will let the entry pass. */
  passes(name: string): boolean {
    return this.#checks?.get(name)?.(this) ?? true
  }

  clashes(name: string): boolean {
    if (this.stream.has(name)) return true
    return this.metadata.has(name) && !this.removed.has(name) && !this.parsed.has(name)
  }

  wasParsed(name: string): boolean {
    return this.parsed.has(name) || (this.#spent.size > 0 && this.#spent.has(name))
  }

  /** Whether labels that begin so can be of use. */
  wantsPrefix(prefix: string): boolean {
    const required = this.#hints.required
    if (required === undefined) return true
    for (const name of required) if (name.startsWith(prefix)) return true
    return false
  }

  /** All that the query needs is known. */
  get complete(): boolean {
    return this.#missing === 0
  }

  /** Nothing that parsers find can change the result. */
  get parsesNothing(): boolean {
    return this.#hints.noLabels || this.#missing === 0
  }

  /** Labels that the stream had and kept. */
  streamLabels(): Labels {
    return this.#unchanged(this.stream)
  }

  metadataLabels(): Labels {
    return this.#unchanged(this.metadata)
  }

  /** In the order of their names, errors among them. */
  parsedLabels(): Labels {
    if (this.parsed.size === 0 && this.error === '' && this.errorDetails === '') return none
    const labels = new Map(this.parsed)
    if (this.error !== '') labels.set(errorLabel, this.error)
    if (this.errorDetails !== '') labels.set(errorDetailsLabel, this.errorDetails)
    return sortLabels(labels)
  }

  /** All labels, in the order of their names. */
  allLabels(): Labels {
    const labels = new Map([...this.streamLabels(), ...this.metadataLabels(), ...this.parsedLabels()])
    return sortLabels(labels)
  }

  #unchanged(labels: Labels): Labels {
    if (this.parsed.size === 0 && this.removed.size === 0) return labels
    let kept = labels
    for (const name of labels.keys()) {
      if (!this.parsed.has(name) && !this.removed.has(name)) continue
      if (kept === labels) kept = new Map(labels)
      ;(kept as Map<string, string>).delete(name)
    }
    return kept
  }
}

const none: Labels = new Map()

function sortLabels(labels: Map<string, string>): Labels {
  return new Map([...labels].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
