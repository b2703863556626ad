/** `| decolorize`: takes the escape sequences of terminals out of the line. */
import type { CompiledStage } from './stage.ts'

/** An escape or C1 introducer, then a title that a bell ends, or parameters and a final character. */
const sequence =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u001b\u009b][[\]()#;?]*(?:(?:(?:[a-zA-Z\d]*(?:;[a-zA-Z\d]*)*)?\u0007)|(?:(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PRZcf-ntqry=><~]))/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: see above
const introducer = /[\u001b\u009b]/

export const decolorize: CompiledStage = (entry) => {
  if (introducer.test(entry.line)) entry.line = entry.line.replace(sequence, '')
  return true
}
