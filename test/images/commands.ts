/** Commands in our documents, so that tests run what people read. */
import { readFileSync } from 'node:fs'

/**
 * The commands of the `sh` blocks under a heading, one string each: lines that end in a backslash are joined, comments left out.
 *
 * @param file path in the repository
 * @param heading its text, without the #
 */
export function commandsOf(file: string, heading: string): string[] {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const sections = text.split(/^#+ /m).filter((section) => section.startsWith(`${heading}\n`))
  if (sections.length !== 1) throw new Error(`${file} has ${sections.length} sections called ${heading}`)
  const blocks = [...sections[0]!.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)
  const commands = blocks
    .join('')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '')
  if (commands.length === 0) throw new Error(`${file}, ${heading}: no commands`)
  return commands
}
