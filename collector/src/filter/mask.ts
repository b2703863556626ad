import { type RedactConfig, Redactor } from './redact/redactor.ts'
import type { CompileRegex } from './regex.ts'
import type { RecordTrace, Shown } from './trace.ts'

const uncounted = { found: () => undefined, withheld: () => undefined }

/** Takes the secrets that any filter redacts out of what is shown, also of what came before that filter. */
export class Mask {
  readonly #redactors: readonly Redactor[]

  constructor(configs: readonly RedactConfig[], compileRegex: CompileRegex) {
    this.#redactors = configs.map((config) => new Redactor(config, compileRegex, uncounted))
  }

  trace(trace: RecordTrace): RecordTrace {
    if (this.#redactors.length === 0) return trace
    const { before, stages, after } = trace
    return {
      ...trace,
      before: this.#shown(before),
      stages: stages.map((stage) =>
        stage.after === undefined ? stage : { ...stage, after: this.#shown(stage.after) },
      ),
      after: after === undefined ? undefined : this.#shown(after),
    }
  }

  #shown({ line, attributes }: Shown): Shown {
    const masked = Object.entries(attributes).map(([name, value]) => {
      const prefix = `${name}=`
      const text = this.#text(prefix + value)
      return [name, text.startsWith(prefix) ? text.slice(prefix.length) : text]
    })
    return { line: this.#text(line), attributes: Object.fromEntries(masked) }
  }

  #text(text: string): string {
    let bytes: Buffer = Buffer.from(text)
    for (const redactor of this.#redactors) {
      const redacted = redactor.redact(bytes, 0, bytes.length)
      if (redacted !== undefined) bytes = Buffer.from(redacted.bytes.subarray(0, redacted.end))
    }
    return bytes.toString()
  }
}
