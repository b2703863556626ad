/** How long the longest word of a line is: what tells a search for an id which lines cannot have it within a longer word. */

/** Words up to this length are not told apart: ids that are worth it are at least as long, bytes. */
export const shortWord = 16
/** Most that the column holds. */
const maxWordLength = 65_535

/** What the token index takes for part of a word: ASCII letters and digits, and all that is not ASCII. */
const inWord = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x80 || /[A-Za-z0-9]/.test(String.fromCharCode(byte)) ? 1 : 0,
)

/** Length of the longest word in `[start, end)`, bytes; 0 when it has no more than {@link shortWord}. Most bytes are not looked at. */
export function longestWord(bytes: Uint8Array, start: number, end: number): number {
  let longest = shortWord
  for (let from = start; from + longest < end; ) {
    // A longer word that begins here goes on up to this byte.
    let at = from + longest
    while (at >= from && inWord[bytes[at]!] === 1) at--
    if (at >= from) {
      from = at + 1
      continue
    }
    at = from + longest + 1
    while (at < end && inWord[bytes[at]!] === 1) at++
    longest = at - from
    from = at + 1
  }
  return longest === shortWord ? 0 : Math.min(longest, maxWordLength)
}

/** The same in SQL, or more: short words are counted, and bytes such as NUL don't end words. For rows that came without it. */
export const longestWordSql = `toUInt16(least(${maxWordLength}, arrayMax(arrayMap(word -> length(word), splitByNonAlpha(line)))))`
