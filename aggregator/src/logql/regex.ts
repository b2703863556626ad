/** Regular expressions are RE2's, as in Go: compiled here to refuse bad ones and to match in process without backtracking. */
import { RE2JS, RE2JSException } from 're2js'
import type { Matcher } from './ast.ts'
import { LogqlError } from './error.ts'

/**
 * A short expression can stand for a large program (`.{1000}` many times), and compiling blocks the process. One takes half a second
 * at most, as its size is limited; this limits all of a query, milliseconds.
 */
const compileBudget = 500
let spent = 0

/** Runs `work`, which is synchronous, with a fresh budget for the regular expressions of one query. */
export function withCompileBudget(work: () => void): void {
  spent = 0
  work()
}

/** Throws {@link LogqlError} with Go's text when it is not a regular expression. */
export function compileRegex(pattern: string, flags = 0): RE2JS {
  if (!pattern.isWellFormed())
    throw new LogqlError(`error parsing regexp: invalid UTF-8: \`${pattern.toWellFormed()}\``)
  if (spent > compileBudget) throw new LogqlError('the regular expressions of the query are too large')
  const began = performance.now()
  try {
    return RE2JS.compile(pattern, flags)
  } catch (error) {
    if (error instanceof RE2JSException) throw new LogqlError(error.message)
    throw error
  } finally {
    spent += performance.now() - began
  }
}

/** Whether the whole value matches. In a selector the dot matches newlines too. */
export function compileMatcher(matcher: Matcher, dotAll: boolean): (value: string) => boolean {
  if (matcher.op === '=') return (value) => value === matcher.value
  if (matcher.op === '!=') return (value) => value !== matcher.value
  const regex = compileRegex(matcher.value, dotAll ? RE2JS.DOTALL : 0)
  const wanted = matcher.op === '=~'
  return (value) => regex.testExact(value) === wanted
}
