/** Conditions on the line that use the token index: it knows which words stand whole in a line. */
import type { Parameters } from './sql.ts'

/**
 * Lines that contain the text. LIKE is the condition; the words that stand between other characters within the text are in the index, as
 * every line that contains the text contains them whole. Words at its ends can be parts of longer ones.
 */
export function containsCondition(parameters: Parameters, text: string): string {
  const like = `line LIKE ${parameters.string(`%${text.replace(/[\\%_]/g, '\\$&')}%`)}`
  const tokens = wholeTokens(text).map((token) => `hasToken(line, ${parameters.string(token)})`)
  return tokens.length === 0 ? like : `(${[...tokens, like].join(' AND ')})`
}

/** More of them prune hardly better. */
const maxTokens = 2

/** Words of ASCII letters and digits with something else on both sides. Other characters are part of words for the index. */
export function wholeTokens(text: string): string[] {
  const found = [...text.matchAll(/(?<=[\0-/:-@[-`{-\x7f])[A-Za-z0-9]+(?=[\0-/:-@[-`{-\x7f])/g)].map(([token]) => token)
  return [...new Set(found)].sort((a, b) => b.length - a.length).slice(0, maxTokens)
}
