/** Records that begin with a line of a certain look; all lines up to the next such one go on with it. */
import type { RE2JS } from 're2js'
import type { RecordDetector } from './detector.ts'

/** How much of a line is looked at, bytes: patterns are of beginnings. */
const maxBytes = 1024
const inRecord = 1

export function startingWith(start: RE2JS): RecordDetector {
  const matches = (bytes: Buffer, from: number, to: number) =>
    start.matcher(bytes.toString('utf8', from, Math.min(to, from + maxBytes))).find()
  return {
    mayContinue: new Uint8Array(257).fill(1),
    // Lines before the first beginning are held together too: nothing tells them apart.
    begin: () => inRecord,
    next: (_state, bytes, from, to) => (matches(bytes, from, to) ? 0 : inRecord),
  }
}
