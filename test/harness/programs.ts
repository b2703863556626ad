/** Programs of others that tests talk to. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Path of a program: what the environment variable says, or what is found in PATH and the system's own directories; undefined where it is not installed. */
export function findProgram(name: string, variable: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const candidates = [process.env[variable] ?? [], directories.map((directory) => join(directory, name))].flat()
  return candidates.find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * The same, with a note where it is missing. In CI a missing program is a failure, unless it can't be had there.
 *
 * @param ci whether CI must have it
 */
export function program(name: string, variable: string, ci: 'required' | 'optional'): string | undefined {
  const path = findProgram(name, variable)
  if (path !== undefined) return path
  const what = `no ${name} in PATH, and ${variable} names none`
  if (process.env['CI'] === 'true' && ci === 'required') throw new Error(`needed in CI: ${what}`)
  console.log(`skipped: ${what}`)
  return undefined
}
