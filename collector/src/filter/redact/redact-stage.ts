import type { RecordView } from '../record-view.ts'
import type { CompileRegex } from '../regex.ts'
import type { Stage } from '../stage.ts'
import { countOne, type Tally } from '../tally.ts'
import { type RedactConfig, Redactor } from './redactor.ts'

/**
 * Takes secrets out of lines and out of attributes that parsers and modules made of them. A line that was too long, or took too long,
 * to be examined as a whole is flagged with the attribute `withheld`.
 */
export function redactStage(name: string, config: RedactConfig, compileRegex: CompileRegex, tally: Tally): Stage {
  let withheld = false
  const count = {
    found: (rule: string) => countOne(tally.redactions, rule),
    withheld: () => {
      withheld = true
    },
  }
  const ofLines = new Redactor(config, compileRegex, count)
  // Attributes never lie in the chunk: their patterns must not remember it.
  const ofAttributes = new Redactor(config, compileRegex, count)
  return {
    name,
    begin: (chunk) => ofLines.begin(chunk),
    apply(record) {
      withheld = false
      if (record.hasAttributes) redactAttributes(ofAttributes, record)
      const redacted = ofLines.redact(record.bytes, record.lineStart, record.lineEnd)
      if (redacted !== undefined) record.replaceLine(redacted.bytes, 0, redacted.end)
      if (withheld) {
        tally.withheld++
        record.setAttribute('withheld', 'true')
      }
      return undefined
    },
  }
}

/** With its name before it, as some values are known by their names only. */
function redactAttributes(redactor: Redactor, record: RecordView): void {
  for (const [name, value] of [...record.attributes]) {
    const prefix = `${name}=`
    const bytes = Buffer.from(prefix + value)
    const redacted = redactor.redact(bytes, 0, bytes.length)
    if (redacted === undefined) continue
    const text = redacted.bytes.toString('utf8', 0, redacted.end)
    if (text.startsWith(prefix)) record.setAttribute(name, text.slice(prefix.length))
    else record.removeAttribute(name)
  }
}
