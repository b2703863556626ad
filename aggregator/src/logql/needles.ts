/** Conditions on the line that use the token index: it knows which words stand whole in a line. */
import { shortWord } from '../store/longest-word.ts'
import type { Parameters } from './sql.ts'

/**
 * Lines that contain the text. LIKE is the condition; the words that stand between other characters within the text are in the index, as
 * every line that contains the text contains them whole. Words at its ends can be parts of longer ones: a long one, as ids are, is either in
 * the index, or the line has a longer word.
 *
 * @param longestWord no line that is asked has a longer word, bytes
 */
export function containsCondition(parameters: Parameters, text: string, longestWord: number): string {
  const like = likeCondition(parameters, text)
  const hasToken = (token: string) => `hasToken(line, ${parameters.string(token)})`
  const edge = longestEdge(text)
  const conditions = wholeTokens(text).map(hasToken)
  if (edge !== '' && edge.length >= longestWord) conditions.push(hasToken(edge))
  else if (edge !== '')
    conditions.push(`(${hasToken(edge)} OR longest_word > ${parameters.bind('UInt16', edge.length)})`)
  return conditions.length === 0 ? like : `(${[...conditions, like].join(' AND ')})`
}

/** The same without the index, which knows nothing of lines that don't contain it. */
export const likeCondition = (parameters: Parameters, text: string): string =>
  `line LIKE ${parameters.string(`%${text.replace(/[\\%_]/g, '\\$&')}%`)}`

/** More of them prune hardly better. The shortest id that is searched for, a UUID, has three. */
const maxTokens = 3

/**
 * Whether the index may say something of any of the conditions. A LIKE alone asks for no word that stands whole in the line, and the engine
 * reads the index of every row for it all the same.
 */
export const usesIndex = (conditions: readonly string[]): boolean =>
  conditions.some((condition) => /\b(?:hasToken|match)\(/.test(condition))

/** Words of ASCII letters and digits with something else on both sides. Other characters are part of words for the index. */
export function wholeTokens(text: string): string[] {
  const found = [...text.matchAll(/(?<=[\0-/:-@[-`{-\x7f])[A-Za-z0-9]+(?=[\0-/:-@[-`{-\x7f])/g)].map(([token]) => token)
  return [...new Set(found)].sort((a, b) => b.length - a.length).slice(0, maxTokens)
}

/** What the column of longest words tells apart. */
const maxEdge = 60_000

/** The longest word at an end of the text that is worth asking for; '' when there is none. */
export function longestEdge(text: string): string {
  const first = /^[A-Za-z0-9]+(?=[\0-/:-@[-`{-\x7f]|$)/.exec(text)?.[0] ?? ''
  const last = /(?<=^|[\0-/:-@[-`{-\x7f])[A-Za-z0-9]+$/.exec(text)?.[0] ?? ''
  const longer = first.length > last.length ? first : last
  return longer.length >= shortWord && longer.length <= maxEdge ? longer : ''
}

/** Whether few lines contain the text, as it has an id in it: a long word with a digit, maybe with dashes. */
export const namesFewLines = (text: string): boolean => /(?=[A-Za-z-]*\d)[A-Za-z0-9-]{16,}/.test(text)
