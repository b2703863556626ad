/** Go: a panic or a fatal error, then for each goroutine its functions and where they are. */
import { isBlank, literal, startsWith, tab } from './bytes.ts'
import type { LanguageDetector } from './language.ts'

/** A panic was told; goroutines follow. */
const told = 1
/** In a goroutine, before a function. */
const functions = 2
/** Behind a function, before its place. */
const place = 3
/** Behind an empty line after a goroutine. */
const between = 4
const over = 5

const panic = literal('panic: ')
const fatal = literal('fatal error: ')
const http = literal('http')
const serving = literal('http: panic serving ')
const goroutine = literal('goroutine ')
const runtimeStack = literal('runtime stack:')
const unavailable = literal('\tgoroutine running on other thread')
const signal = literal('[signal ')
const createdBy = literal('created by ')
/** The only function of a trace that belongs to no package. */
const builtIn = literal('panic(')
const elided = literal('...')
const exitStatus = literal('exit status ')

export const go: LanguageDetector = {
  second: ['', '[', '\t', 'g', 'p', 'm', 'n', 'r'],
  beforeColon: 'p',
  begin(b, start, end) {
    if (startsWith(b, start, end, panic) || startsWith(b, start, end, fatal)) return told
    return isGoroutine(b, start, end) ? functions : 0
  },
  beginAtColon(b, start, at, end) {
    return at - start >= http.length && startsWith(b, at - http.length, end, serving) ? told : 0
  },
  next(state, b, start, end) {
    switch (state) {
      case told:
        if (isGoroutine(b, start, end) || startsWith(b, start, end, runtimeStack)) return functions
        if (start === end || startsWith(b, start, end, signal)) return told
        // A panic while another was handled, or raised again.
        return startsWith(b, b[start] === tab ? start + 1 : start, end, panic) ? told : 0
      case functions:
        if (start === end) return between
        if (startsWith(b, start, end, elided) || startsWith(b, start, end, unavailable)) return functions
        // `go run` says it directly behind the only goroutine.
        if (startsWith(b, start, end, exitStatus)) return over
        return isFunction(b, start, end) ? place : 0
      case place:
        return b[start] === tab ? functions : 0
      case between:
        if (isGoroutine(b, start, end)) return functions
        return startsWith(b, start, end, exitStatus) ? over : 0
      default:
        return 0
    }
  },
}

/** `goroutine 1 [running]:` */
function isGoroutine(b: Buffer, start: number, end: number): boolean {
  return startsWith(b, start, end, goroutine) && b[end - 1] === 0x3a && b[end - 2] === 0x5d
}

/** `main.(*Server).handle(0xc000010000, {0x1, 0x2})`, or who created the goroutine. A function's name has no blanks. */
function isFunction(b: Buffer, start: number, end: number): boolean {
  if (startsWith(b, start, end, createdBy)) return true
  if (b[end - 1] !== 0x29) return false
  if (startsWith(b, start, end, builtIn)) return true
  let p = start
  while (p < end && b[p] !== 0x28 && !isBlank(b[p])) p++
  return b[p] === 0x28 && b.subarray(start, end).includes(0x2e)
}
