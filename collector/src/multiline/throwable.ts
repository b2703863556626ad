/**
 * Java (with Kotlin and Scala), Node.js and .NET: a line that names an exception, then frames that begin with `at`. Which of the three it
 * is shows only in what follows, so they share their states.
 */
import {
  behindBlanks,
  colon,
  endsWith,
  isBlank,
  isDigit,
  isUpper,
  isWord,
  literal,
  space,
  startsWith,
} from './bytes.ts'
import type { LanguageDetector } from './language.ts'

export interface Throwables {
  readonly java: boolean
  readonly node: boolean
  readonly dotnet: boolean
}

/** The line named an exception; frames or causes follow. */
const named = 1
/** In the properties that Node.js prints of an error, until its closing brace. */
const properties = 2
/** Node.js's report of an uncaught error: the place, the source line, the marks below it, an empty line, and the error itself. */
const place = 3
const source = 4
const marks = 5
const beforeError = 6
const uncaught = 7
const uncaughtProperties = 8
const beforeVersion = 9
/** Nothing goes on with it. */
const over = 10

const at = literal('at ')
/** Frames that are not shown: `... 12 more`, `... 27 frames excluded`, `... 3 lines matching cause stack trace ...`. */
const leftOut = literal('... ')
const inThread = literal('Exception in thread "')
const unhandled = literal('Unhandled exception. ')
const causedBy = literal('Caused by: ')
/** Logback, root cause first. */
const wrappedBy = literal('Wrapped by: ')
const suppressed = literal('Suppressed: ')
const circular = literal('[CIRCULAR REFERENCE')
const boundary = literal('(Coroutine boundary)')
const inner = literal('---> ')
const endOf = literal('--- End of ')
const hint = literal('(Use `node --trace-uncaught')
const nodeVersion = literal('Node.js v')
const endings = ['Exception', 'Error', 'Throwable'].map(literal)

export function throwables(languages: Throwables): LanguageDetector {
  return {
    second: [
      ' ',
      '\t',
      ...(languages.java ? ['C', 'S'] : []),

      ...(languages.dotnet ? ['-'] : []),
    ],
    begin(b, start, end) {
      if (languages.node && isPlace(b, start, end)) return place
      if (languages.java && startsWith(b, start, end, inThread)) return named
      if (languages.dotnet && startsWith(b, start, end, unhandled)) return named
      return isExceptionName(b, start, end) ? named : 0
    },
    beforeColon: 'nre]',
    beginAtColon: (b, start, at) => (isExceptionName(b, start, at) ? named : 0),
    next(state, b, start, end) {
      if (state === named) return nextOfTrace(languages, b, start, end)
      if (!languages.node || state === over) return 0
      return nextOfNode(state, b, start, end)
    },
  }
}

function nextOfTrace({ java, node, dotnet }: Throwables, b: Buffer, start: number, end: number): number {
  const p = behindBlanks(b, start, end)
  if (p === end) return 0
  if (p > start && startsWith(b, p, end, at)) return node && b[end - 1] === 0x7b ? properties : named
  if (p > start && (java || node) && startsWith(b, p, end, leftOut)) return named
  if (java && isJavaPart(b, p, end, p > start)) return named
  if (dotnet && (startsWith(b, p, end, endOf) || (p > start && startsWith(b, p, end, inner)))) return named
  return 0
}

/** `Caused by:`, `Suppressed:` and the like. */
function isJavaPart(b: Buffer, p: number, end: number, indented: boolean): boolean {
  if (startsWith(b, p, end, causedBy) || startsWith(b, p, end, wrappedBy)) return true
  if (!indented) return false
  return startsWith(b, p, end, suppressed) || startsWith(b, p, end, circular) || startsWith(b, p, end, boundary)
}

function nextOfNode(state: number, b: Buffer, start: number, end: number): number {
  switch (state) {
    case properties:
    case uncaughtProperties:
      if (b[start] === 0x7d) return state === properties ? over : beforeVersion
      return isBlank(b[start]) ? state : 0
    case place:
      return isBlank(b[start]) && behindBlanks(b, start, end) < end ? source : 0
    case source:
      return isMarks(b, start, end) ? marks : 0
    case marks:
      return start === end ? beforeError : 0
    case beforeError:
      // Whatever was thrown: behind place, source and marks it needs no name of an error.
      if (start === end) return 0
      return b[end - 1] === 0x7b ? uncaughtProperties : uncaught
    case uncaught: {
      if (start === end) return beforeVersion
      if (startsWith(b, start, end, hint)) return uncaught
      const p = behindBlanks(b, start, end)
      if (p > start && startsWith(b, p, end, leftOut)) return uncaught
      if (p === start || !startsWith(b, p, end, at)) return 0
      return b[end - 1] === 0x7b ? uncaughtProperties : uncaught
    }
    case beforeVersion:
      if (start === end) return beforeVersion
      return startsWith(b, start, end, nodeVersion) ? over : 0
    default:
      return 0
  }
}

/** `/app/server.js:10`: a path without blanks, a colon and a line number, and nothing else. */
function isPlace(b: Buffer, start: number, end: number): boolean {
  let p = end
  while (p > start && isDigit(b[p - 1])) p--
  if (p === end || p - 1 <= start || b[p - 1] !== colon) return false
  const file = b[start] === 0x2f || startsWith(b, start, end, literalFile) || startsWith(b, start, end, literalNode)
  if (!file && !(isUpper(b[start]) && b[start + 1] === colon)) return false
  for (let i = start; i < p; i++) if (b[i] === space) return false
  return true
}
const literalFile = literal('file://')
const literalNode = literal('node:')

function isMarks(b: Buffer, start: number, end: number): boolean {
  const p = behindBlanks(b, start, end)
  if (b[p] !== 0x5e) return false
  let q = p
  while (q < end && b[q] === 0x5e) q++
  return behindBlanks(b, q, end) === end
}

/**
 * `[start, end)` ends with a class name in `Exception`, `Error` or `Throwable`, behind a log prefix too: `ERROR [main] a.b.CartException`.
 */
function isExceptionName(b: Buffer, start: number, end: number): boolean {
  let last = end
  // Node.js: `TypeError [ERR_INVALID_ARG_TYPE]: …`
  if (b[last - 1] === 0x5d) {
    while (last > start && b[last - 1] !== 0x5b) last--
    last = Math.max(start, last - 2)
  }
  const byte = b[last - 1]
  if (byte !== 0x6e && byte !== 0x72 && byte !== 0x65) return false
  for (const ending of endings) {
    if (!endsWith(b, start, last, ending)) continue
    const before = b[last - ending.length - 1]
    return last - ending.length === start || isBlank(before) || isWord(before) || before === 0x2e
  }
  return false
}
