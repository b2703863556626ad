/**
 * RE2 expressions that JavaScript's engine may match: it is many times faster, but backtracks. Where an expression can be matched in two
 * ways at one place, its cost grows with the line's length to the power of the number of such places; so each comes with the longest text
 * it may be given.
 */
import { type CharacterSet, parseRegex, type RegexNode } from './regex-parse.ts'

export interface JsRegex {
  readonly regex: RegExp
  /** Longest text, characters, for which the worst case stays bearable. */
  readonly maxLength: number
  readonly names: readonly string[]
}

/** Steps of the engine that one text may take in the worst case: some hundredths of a second. */
const maxSteps = 2e7

/** @param anchored the whole text has to match */
export function jsRegex(pattern: string, dotAll: boolean, anchored: boolean): JsRegex | undefined {
  const parsed = parseRegex(pattern, dotAll)
  if (!parsed) return undefined
  const end: Follow = anchored ? { ascii: 0n, other: false, end: false } : open
  const choices = countAlternatives(parsed.alternatives, end)
  if (choices === undefined) return undefined
  const body = writeAlternatives(parsed.alternatives)
  const source = anchored ? `^(?:${body})$` : body
  const starts = anchored || parsed.alternatives.every(([first]) => first?.kind === 'assertion' && first.source === '^')
  const exponent = Math.max(choices, hasLoop(parsed.alternatives) ? 1 : 0) + (starts ? 0 : 1)
  const maxLength = exponent <= 1 ? Number.POSITIVE_INFINITY : Math.floor(maxSteps ** (1 / exponent))
  try {
    return { regex: new RegExp(source, parsed.ignoreCase ? 'giu' : 'gu'), maxLength, names: parsed.names }
  } catch {
    // JavaScript has limits and rules of its own; RE2 matches it then.
    return undefined
  }
}

/** What can come next; `end` when that may be nothing more, so that whatever was matched is enough. */
interface Follow extends CharacterSet {
  readonly end: boolean
}

const open: Follow = { ascii: 0n, other: false, end: true }

const union = (a: CharacterSet, b: CharacterSet): CharacterSet => ({
  ascii: a.ascii | b.ascii,
  other: a.other || b.other,
})
const meets = (a: CharacterSet, b: CharacterSet): boolean => (a.ascii & b.ascii) !== 0n || (a.other && b.other)

/** The places where the engine has a choice that the next character does not decide. Undefined when they cannot be counted so. */
function countAlternatives(alternatives: readonly (readonly RegexNode[])[], after: Follow): number | undefined {
  let most = 0
  for (const nodes of alternatives) {
    let count = 0
    let follow = after
    for (const node of nodes.toReversed()) {
      const own = countNode(node, follow)
      if (own === undefined) return undefined
      count += own
      follow = followBefore(node, follow)
    }
    most = Math.max(most, count)
  }
  return most
}

function countNode(node: RegexNode, after: Follow): number | undefined {
  if (node.kind === 'group') return countAlternatives(node.alternatives, after)
  if (node.kind !== 'repeat') return 0
  const { inner, min, max } = node
  if (max === 1 && inner.kind === 'group') return countAlternatives(inner.alternatives, after)
  if (inner.kind === 'group') return isFixed(inner) && min === max && max <= 20 ? 0 : undefined
  if (min === max || inner.kind !== 'set') return 0
  // At the very end of the expression the first way of matching is always taken.
  return (after.end && after.ascii === 0n && !after.other) || !meets(inner.set, after) ? 0 : 1
}

/** Whether something is repeated without a limit: then one attempt can look at all of the text. */
function hasLoop(alternatives: readonly (readonly RegexNode[])[]): boolean {
  return alternatives.flat().some((node) => {
    if (node.kind === 'group') return hasLoop(node.alternatives)
    return node.kind === 'repeat' && (node.max > 20 || hasLoop([[node.inner]]))
  })
}

/** One way to match, of one length. */
function isFixed(node: RegexNode): boolean {
  if (node.kind === 'set') return true
  return node.kind === 'group' && node.alternatives.length === 1 && node.alternatives[0]!.every(isFixed)
}

/** What can come next at the place before the node. */
function followBefore(node: RegexNode, after: Follow): Follow {
  switch (node.kind) {
    case 'set':
      return { ...node.set, end: false }
    case 'assertion':
      return node.end ? { ascii: 0n, other: false, end: false } : { ...after, end: false }
    case 'repeat': {
      const inner = followBefore(node.inner, after)
      return node.min > 0 ? inner : { ...union(inner, after), end: inner.end || after.end }
    }
    case 'group': {
      const firsts = node.alternatives.map((nodes) =>
        nodes.reduceRight<Follow>((follow, item) => followBefore(item, follow), after),
      )
      return firsts.reduce((a, b) => ({ ...union(a, b), end: a.end || b.end }))
    }
  }
}

const writeAlternatives = (alternatives: readonly (readonly RegexNode[])[]): string =>
  alternatives.map((nodes) => nodes.map(write).join('')).join('|')

function write(node: RegexNode): string {
  switch (node.kind) {
    case 'group':
      return `${node.open}${writeAlternatives(node.alternatives)})`
    case 'repeat':
      return write(node.inner) + node.source
    default:
      return node.source
  }
}
