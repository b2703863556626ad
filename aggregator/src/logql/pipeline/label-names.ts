/** What becomes a label's name of a key. */

const clean = /^[A-Za-z_][A-Za-z0-9_]*$/
const known = new Map<string, string>()
/** Keys that make no two queries alike must not fill the memory. */
const maxKnown = 10_000

/** Other characters become `_`, and one stands before a digit at the beginning. '' when nothing is left. */
export function labelName(key: string): string {
  const found = known.get(key)
  if (found !== undefined) return found
  const name = sanitize(key)
  if (known.size >= maxKnown) known.clear()
  // A copy, as a key cut out of a line would keep all of the line.
  known.set(Buffer.from(key, 'utf16le').toString('utf16le'), name)
  return name
}

function sanitize(key: string): string {
  if (clean.test(key)) return key
  const trimmed = key.trim()
  const name = trimmed.replace(/[^A-Za-z0-9_]/gu, '_')
  return /^[0-9]/.test(name) ? `_${name}` : name
}

/** A name under a prefix of names that stand around it. */
export function nestedName(prefix: string, key: string): string {
  const trimmed = key.trim()
  if (trimmed === '') return prefix
  if (prefix === '') return labelName(key)
  return `${prefix}_${trimmed.replace(/[^A-Za-z0-9_]/gu, '_')}`
}
