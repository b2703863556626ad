/** Patterns such as `<ip> - <_> "<method> <path>"`: text that has to stand there, and captures between. */
import type { CompiledStage } from './stage.ts'

/** A capture, whose name is `_` when nobody wants it, or text. */
export type PatternPart = { readonly capture: string } | { readonly text: string }

export function parsePattern(pattern: string): PatternPart[] {
  const parts: PatternPart[] = []
  let at = 0
  for (const match of pattern.matchAll(/<([A-Za-z_][A-Za-z0-9_]*)>/g)) {
    if (match.index > at) parts.push({ text: pattern.slice(at, match.index) })
    parts.push({ capture: match[1]! })
    at = match.index + match[0].length
  }
  if (at < pattern.length) parts.push({ text: pattern.slice(at) })
  return parts
}

/** `| pattern`. Where the line ends early, the capture before takes what is left. */
export function patternParser(pattern: string): CompiledStage {
  const parts = parsePattern(pattern)
  return (entry) => {
    if (entry.parsesNothing) return true
    eachCapture(entry.line, parts, (name, value) => {
      const free = entry.nameToParse(name)
      if (free !== undefined) entry.set(free, value)
    })
    return true
  }
}

function eachCapture(line: string, parts: readonly PatternPart[], found: (name: string, value: string) => void): void {
  if (line === '') return
  let at = 0
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!
    if ('text' in part) {
      // Only the first part can be text here: a capture takes the text behind it along.
      if (!line.startsWith(part.text)) return
      at = part.text.length
      continue
    }
    const next = parts[++i]
    const end = next && 'text' in next ? line.indexOf(next.text, at) : -1
    if (part.capture !== '_') found(part.capture, end === -1 ? line.slice(at) : line.slice(at, end))
    if (end === -1) return
    at = end + (next as { text: string }).text.length
  }
}

/** `|>`: the whole line has to be of the pattern, and no capture may be empty. An empty line matches an empty pattern only. */
export function patternTest(pattern: string): (line: string) => boolean {
  const parts = parsePattern(pattern)
  return (line) => {
    if (line === '' || parts.length === 0) return line === '' && parts.length === 0
    let at = 0
    for (const [i, part] of parts.entries()) {
      if (!('text' in part)) continue
      const found = line.indexOf(part.text, at)
      if (found === -1 || (i > 0 && found === at)) return false
      at = found + part.text.length
    }
    return 'capture' in parts.at(-1)! === at < line.length
  }
}
