/** Python: `Traceback (most recent call last):`, indented frames, the exception itself, and what it was caused by. */
import { behindBlanks, endsWith, isBlank, isWord, literal, startsWith } from './bytes.ts'
import type { LanguageDetector } from './language.ts'

/** The first line was seen; frames follow. */
const begun = 1
const inFrames = 2
/** The exception was named. Behind an empty line may follow that it came while another was handled. */
const named = 3
const blank = 4
const linked = 5
const linkedBlank = 6
/** In an exception group, whose lines stand behind bars. */
const inGroup = 7

const traceback = literal('Traceback (most recent call last):')
const file = literal('  File "')
const during = literal('During handling of the above exception, another exception occurred:')
const cause = literal('The above exception was the direct cause of the following exception:')

export const python: LanguageDetector = {
  second: [' ', '\t'],
  beforeColon: '',
  beginAtColon: () => 0,
  begin(b, start, end) {
    if (isGroup(b, start, end)) return inGroup
    if (endsWith(b, start, end, traceback)) return begun
    // A syntax error has no first line of its own.
    return startsWith(b, start, end, file) ? inFrames : 0
  },
  next(state, b, start, end) {
    switch (state) {
      case begun:
        return isBlank(b[start]) ? inFrames : 0
      case inFrames:
        if (start < end && isBlank(b[start])) return inFrames
        return namesException(b, start, end) ? named : 0
      case inGroup:
        // Another group begins like this one did.
        return isBarred(b, start, end) && !isGroup(b, start, end) ? inGroup : 0
      case named:
        return start === end ? blank : 0
      case blank:
        return startsWith(b, start, end, during) || startsWith(b, start, end, cause) ? linked : 0
      case linked:
        if (start === end) return linkedBlank
        return endsWith(b, start, end, traceback) ? begun : 0
      case linkedBlank:
        return endsWith(b, start, end, traceback) ? begun : 0
      default:
        return 0
    }
  },
}

/** `ValueError: message`, `package.module.Error`, `KeyboardInterrupt`: a dotted name, and a colon or nothing behind it. */
function namesException(b: Buffer, start: number, end: number): boolean {
  let p = start
  while (p < end && (isWord(b[p]) || b[p] === 0x2e)) p++
  return p > start && (p === end || b[p] === 0x3a)
}

/** `  + Exception Group Traceback (most recent call last):` */
function isGroup(b: Buffer, start: number, end: number): boolean {
  return endsWith(b, start, end, traceback) && b[start] === 0x20 && b[behindBlanks(b, start, end)] === 0x2b
}

function isBarred(b: Buffer, start: number, end: number): boolean {
  const p = behindBlanks(b, start, end)
  return p > start && (b[p] === 0x7c || b[p] === 0x2b)
}
