/** The commands of kubectl and helm that the pages show, found wherever they stand. */
import { readdirSync, readFileSync } from 'node:fs'

const root = new URL('../../', import.meta.url)

export const pages = [
  'README.md',
  'charts/tributary/README.md',
  ...readdirSync(new URL('docs', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

export interface PageCommand {
  readonly page: string
  /** One line of shell, without what sends it into the background. */
  readonly text: string
}

/** Where a command begins: at a line's beginning, or in a substitution. */
const begins = /^(?:\$ )?(?:\w+=\$\()?(?:kubectl|helm) /

/** Commands of blocks of code, and of code within a text that is more than a command's name. */
export function commandsOn(page: string): PageCommand[] {
  const text = readFileSync(new URL(page, root), 'utf8')
  return commandsIn(text).map((command) => ({ page, text: command }))
}

export function commandsIn(text: string): string[] {
  const found: string[] = []
  for (const part of text.split(/^( *```[\s\S]*?^ *```$)/m)) {
    if (/^ *```/.test(part)) {
      for (const line of part.replace(/\\\n\s*/g, '').split('\n')) {
        // `#` in a YAML comment says how something is found out.
        const [, commented] = /# ((?:kubectl|helm) .*)$/.exec(line) ?? []
        const command = commented ?? line.trim()
        if (begins.test(command)) found.push(plain(command))
      }
    } else {
      for (const [, code] of part.matchAll(/`([^`\n]+)`/g))
        if (begins.test(code!) && code!.split(' ').length > 2) found.push(plain(code!))
    }
  }
  return found
}

const plain = (command: string) =>
  command
    .replace(/^\$ /, '')
    .replace(/\s+#.*$/, '')
    .replace(/\s*&$/, '')
    .trim()
