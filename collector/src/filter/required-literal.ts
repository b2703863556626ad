/**
 * The longest run of characters that a text must have for a regular expression to match it, when that is easily seen; else undefined.
 * Only plain characters outside of groups count, and nothing at all where `|` or a flag stands outside of a group. Pure.
 */
export function requiredLiteral(pattern: string): string | undefined {
  let best = ''
  let run = ''
  const close = () => {
    if (run.length > best.length) best = run
    run = ''
  }
  for (let at = 0; at < pattern.length; ) {
    const c = pattern[at]!
    if (c === '|' || pattern.startsWith('(?', at) || pattern.startsWith('\\Q', at)) return undefined
    const after = behindPiece(pattern, at)
    if (after === undefined) return undefined
    const plain = plainOf(pattern.slice(at, after))
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/.exec(pattern.slice(after))?.[0] ?? ''
    if (plain === undefined || quantifier !== '') close()
    else run += plain
    at = after + quantifier.length
  }
  close()
  // A single character is in most lines.
  return best.length >= 2 ? best : undefined
}

/** Position behind the character, escape, class or group that begins at `at`. */
function behindPiece(pattern: string, at: number): number | undefined {
  const c = pattern[at]!
  if (c === '[') return behindClass(pattern, at)
  if (c === '(') return behindGroup(pattern, at)
  if (c === '\\') return /^[pPx]\{/.test(pattern.slice(at + 1)) ? pattern.indexOf('}', at) + 1 || undefined : at + 2
  return at + (pattern.codePointAt(at)! > 0xffff ? 2 : 1)
}

function behindClass(pattern: string, at: number): number | undefined {
  let p = at + 1
  if (pattern[p] === '^') p++
  // Directly behind the opening bracket, a closing one stands for itself.
  if (pattern[p] === ']') p++
  while (p < pattern.length && pattern[p] !== ']') {
    if (pattern.startsWith('[:', p)) p = pattern.indexOf(':]', p) + 1 || pattern.length
    else if (pattern[p] === '\\') p++
    p++
  }
  return p < pattern.length ? p + 1 : undefined
}

function behindGroup(pattern: string, at: number): number | undefined {
  let p: number | undefined = at + 1
  while (p !== undefined && p < pattern.length && pattern[p] !== ')') {
    if (pattern.startsWith('\\Q', p)) return undefined
    p = behindPiece(pattern, p)
  }
  return p !== undefined && p < pattern.length ? p + 1 : undefined
}

/** The text that a piece stands for; undefined when it may stand for several. An anchor stands for none. */
function plainOf(piece: string): string | undefined {
  if (piece === '^' || piece === '$') return ''
  if (piece[0] === '\\') return /^\\[^A-Za-z0-9]$/.test(piece) ? piece[1]! : undefined
  return /^[.[(*+?{]/.test(piece) ? undefined : piece
}
