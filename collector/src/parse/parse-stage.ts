import type { RecordView } from '../filter/record-view.ts'
import type { Stage } from '../filter/stage.ts'
import { FieldTaker } from './field-taker.ts'
import type { Parser } from './parser.ts'

/** A longer line is not parsed, bytes: no field of it may be worth the time. */
const maxLine = 64 * 1024

export interface ParseStageOptions {
  readonly parser: Parser
  /** Names of what is known of the log, its labels and structured metadata, which no field may stand in for. */
  readonly taken: Iterable<string>
  /** Called for each line that is not what the parser reads. */
  onError(parser: string): void
}

/** Makes attributes of a line's fields. The line stays as it is; one that does not parse is flagged `parse_error`. */
export class ParseStage implements Stage {
  readonly name: string
  readonly #options: ParseStageOptions
  readonly #fields: FieldTaker

  constructor(name: string, options: ParseStageOptions) {
    this.name = name
    this.#options = options
    this.#fields = new FieldTaker(options.taken)
  }

  apply(record: RecordView): undefined {
    const { parser, onError } = this.#options
    const { bytes, lineStart, lineEnd } = record
    this.#fields.begin()
    const parsed = lineEnd - lineStart <= maxLine && parser.parse(bytes, lineStart, lineEnd, this.#fields.take)
    if (parsed) record.addAttributes(this.#fields.fields)
    else {
      record.setAttribute('parse_error', parser.name)
      onError(parser.name)
    }
  }
}
