/** Ruby: the place, the message and its class in one line, then callers that begin with `from`. */
import { behindBlanks, endsWith, isDigit, literal, startsWith } from './bytes.ts'
import type { LanguageDetector } from './language.ts'

const inCallers = 1

const extension = literal('.rb')
const inMethod = literal(':in ')
const irb = literal('(irb)')
const from = literal('from ')
/** Of a stack that is too deep: `... 10067 levels...`. */
const leftOut = literal('... ')

export const ruby: LanguageDetector = {
  second: [' ', '\t'],
  beforeColon: 'b',
  begin(b, start, end) {
    return startsWith(b, start, end, irb) ? inCallers : 0
  },
  beginAtColon(b, start, at, end) {
    if (!endsWith(b, start, at, extension)) return 0
    let p = at + 1
    while (p < end && isDigit(b[p])) p++
    return p > at + 1 && startsWith(b, p, end, inMethod) ? inCallers : 0
  },
  next(_state, b, start, end) {
    const p = behindBlanks(b, start, end)
    return p > start && (startsWith(b, p, end, from) || startsWith(b, p, end, leftOut)) ? inCallers : 0
  },
}
