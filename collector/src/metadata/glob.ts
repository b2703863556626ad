/** Name patterns with `*` for any characters and `?` for one, as people write them in the configuration. Pure. */

export type NameMatcher = (name: string) => boolean

export function compileGlob(pattern: string): NameMatcher {
  if (!/[*?]/.test(pattern)) return (name) => name === pattern
  if (pattern === '*') return () => true
  return (name) => globMatches(pattern, name)
}

/** True when any of the patterns matches; false for an empty list. */
export function compileGlobs(patterns: readonly string[]): NameMatcher {
  const matchers = patterns.map(compileGlob)
  return (name) => matchers.some((matches) => matches(name))
}

/** Needs at most length × length steps whatever the pattern: after a mismatch only the last `*` takes one more character. */
function globMatches(pattern: string, name: string): boolean {
  let [p, n] = [0, 0]
  let [star, resume] = [-1, 0]
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++
      resume = n
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p++
      n++
    } else if (star >= 0) {
      p = star + 1
      n = ++resume
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
