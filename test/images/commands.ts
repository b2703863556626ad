/** Commands in our documents, so that tests run what people read. */
import { readFileSync } from 'node:fs'

/**
 * The blocks of code under a heading.
 *
 * @param file path in the repository
 * @param heading its text, without the #
 * @param language that the blocks are marked with
 */
export function blocksOf(file: string, heading: string, language: string): string[] {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  // A # at the beginning of a line of code is none of a heading's.
  const [, ...parts] = text.split(/^(#+ .*|```[\s\S]*?^```)$/m).map((part) => part.trim())
  let here = false
  const blocks: string[] = []
  for (const part of parts) {
    if (/^#+ /.test(part)) here = part.replace(/^#+ /, '') === heading
    else if (here && part.startsWith(`\`\`\`${language}\n`)) blocks.push(part.split('\n').slice(1, -1).join('\n'))
  }
  if (blocks.length === 0) throw new Error(`${file}, ${heading}: no ${language}`)
  return blocks
}

/** The commands of the `sh` blocks under a heading, one string each: lines that end in a backslash are joined, comments left out. */
export function commandsOf(file: string, heading: string): string[] {
  return blocksOf(file, heading, 'sh')
    .join('\n')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '')
}
