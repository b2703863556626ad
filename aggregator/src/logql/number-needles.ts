/**
 * Lines in which a parser can find a number that a filter lets pass, as a regular expression for the store. It matches every line that
 * spells out such a value behind its key, and few others: numbers of up to fifteen digits that fail the comparison are told exactly, of
 * everything else it is left open. Pure.
 *
 * What a parser calls `a_b` can be written in many ways, such as `a.b`, but the last word of it stands before the value as it is.
 */
import type { CompareOperator } from './ast.ts'

/** Digits whose numbers are exact. */
const maxDigits = 15

/** The last word of a label's name, with which its key ends in the line; '' when any character can stand there. */
export const lastWord = (name: string): string => name.slice(name.lastIndexOf('_') + 1)

/** Behind the key in JSON: what the names of labels are trimmed of, escaped or not, the quote, the colon; then a value. */
const jsonKeyEnd = '(?:[ \\t\\n\\f\\r\\x0b]|\\\\[tnfr]|[^\\x00-\\x7f])*"[ \\n\\r\\t]*:[ \\n\\r\\t]*'

/** Undefined where numbers don't tell. @param word see {@link lastWord} */
export function jsonNumberRegex(word: string, op: CompareOperator, wanted: number): string | undefined {
  const numbers = passing(op, wanted, '(?:[ \\n\\r\\t,}\\]]|$)')
  if (numbers === undefined) return undefined
  // Anything but digits up to the end of the value, or digits that pass.
  const others = '[^0-9 \\n\\r\\t]|$|[0-9]+(?:[^0-9 \\n\\r\\t,}\\]]|$)'
  return `${word}${jsonKeyEnd}(?:${[others, ...numbers].join('|')})`
}

/** Undefined where numbers don't tell. @param keepEmpty whether a key without a value is a label */
export function logfmtNumberRegex(
  word: string,
  op: CompareOperator,
  wanted: number,
  keepEmpty: boolean,
): string | undefined {
  const numbers = passing(op, wanted, '(?:[\\x00-\\x20]|$)')
  if (numbers === undefined) return undefined
  const others = '[^0-9]|$|[0-9]+[^0-9\\x00-\\x20]'
  const empty = keepEmpty ? '|[\\x00-\\x20]|$' : ''
  // Blanks that are not ASCII are trimmed from the key.
  return `${word}(?:[^\\x00-\\x7f]|=(?:${[others, ...numbers].join('|')})${empty})`
}

/** What numbers that pass begin with, or what they are, up to `end`. Undefined when next to all do. */
function passing(op: CompareOperator, wanted: number, end: string): string[] | undefined {
  if (!Number.isFinite(wanted)) return undefined
  switch (op) {
    case '>=':
      return atLeast(Math.ceil(wanted))
    case '>':
      return atLeast(Math.floor(wanted) + 1)
    case '<':
      return atMost(Math.ceil(wanted) - 1, end)
    case '<=':
      return atMost(Math.floor(wanted), end)
    case '=':
      if (wanted < 0 || !Number.isInteger(wanted)) return []
      return String(wanted).length > maxDigits ? undefined : ['0', `${wanted}${end}`]
    case '!=':
      return undefined
  }
}

/** Numbers from `least` on: of as many digits and not smaller, or of more. Leading zeros make one seem larger, which is allowed. */
function atLeast(least: number): string[] | undefined {
  if (least <= 0) return undefined
  const digits = digitsOf(least)
  if (digits === undefined) return [`[0-9]{${maxDigits + 1}}`]
  const larger = [...digits].flatMap((digit, i) =>
    digit === '9' ? [] : [`${digits.slice(0, i)}[${Number(digit) + 1}-9][0-9]{${digits.length - i - 1}}`],
  )
  return [...larger, digits, `[0-9]{${digits.length + 1}}`]
}

/** Numbers up to `most`: of fewer digits, or of as many and not larger. Of leading zeros nothing is known. */
function atMost(most: number, end: string): string[] | undefined {
  if (most < 0) return []
  const digits = digitsOf(most)
  if (digits === undefined) return undefined
  const smaller = [...digits].flatMap((digit, i) =>
    digit === '0' ? [] : [`${digits.slice(0, i)}[0-${Number(digit) - 1}][0-9]{${digits.length - i - 1}}${end}`],
  )
  const shorter = digits.length === 1 ? [] : [`[0-9]{1,${digits.length - 1}}${end}`]
  return ['0', ...shorter, ...smaller, `${digits}${end}`]
}

/** Undefined when it has more digits than numbers are exact for. */
function digitsOf(value: number): string | undefined {
  return value < 10 ** maxDigits ? String(value) : undefined
}
