/** PHP: `Fatal error: Uncaught …`, `Stack trace:`, numbered frames, and where it was thrown. */
import { behindBlanks, endsWith, isDigit, literal, startsWith } from './bytes.ts'
import type { LanguageDetector } from './language.ts'

const told = 1
const frames = 2
/** Behind the frames of an exception that another one was thrown for. */
const blank = 3
const over = 4

const fatal = literal('Fatal error')
const uncaught = literal('Uncaught ')
const stackTrace = literal('Stack trace:')
const thrown = literal('  thrown in ')
const next = literal('Next ')

export const php: LanguageDetector = {
  second: ['S', '#'],
  beforeColon: 'r',
  begin: () => 0,
  beginAtColon(b, start, at, end) {
    if (!endsWith(b, start, at, fatal)) return 0
    return startsWith(b, behindBlanks(b, at + 1, end), end, uncaught) ? told : 0
  },
  next(state, b, start, end) {
    switch (state) {
      case told:
        return startsWith(b, start, end, stackTrace) ? frames : 0
      case frames:
        if (b[start] === 0x23 && isDigit(b[start + 1])) return frames
        if (start === end) return blank
        if (startsWith(b, start, end, next)) return told
        return startsWith(b, start, end, thrown) ? over : 0
      case blank:
        return startsWith(b, start, end, next) ? told : 0
      default:
        return 0
    }
  },
}
