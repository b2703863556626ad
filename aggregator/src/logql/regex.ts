/** Regular expressions are RE2's, as in Go: compiled here to refuse bad ones and to match in process without backtracking. */
import { RE2JS, RE2JSException } from 're2js'
import type { Matcher } from './ast.ts'
import { LogqlError } from './error.ts'

/** Throws {@link LogqlError} with Go's text when it is not a regular expression. */
export function compileRegex(pattern: string, flags = 0): RE2JS {
  try {
    return RE2JS.compile(pattern, flags)
  } catch (error) {
    if (error instanceof RE2JSException) throw new LogqlError(error.message)
    throw error
  }
}

/**
 * Whether the whole value matches. In a selector the dot matches newlines too.
 */
export function compileMatcher(matcher: Matcher, dotAll: boolean): (value: string) => boolean {
  if (matcher.op === '=') return (value) => value === matcher.value
  if (matcher.op === '!=') return (value) => value !== matcher.value
  const regex = compileRegex(matcher.value, dotAll ? RE2JS.DOTALL : 0)
  const wanted = matcher.op === '=~'
  return (value) => regex.testExact(value) === wanted
}
