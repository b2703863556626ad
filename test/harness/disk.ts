/** Small disks that can be filled. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'

/**
 * A file system of its own in memory, gone when disposed. Undefined, with a note, where mounting is not allowed; in CI that is a failure.
 *
 * @param size as mount takes it: `8m`
 */
export function tryTmpfs(directory: string, size: string): Disposable | undefined {
  mkdirSync(directory, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', directory], { stdio: 'pipe' })
  } catch (error) {
    const why = String((error as { stderr?: Buffer }).stderr ?? error).trim()
    if (process.env['CI'] === 'true') throw new Error(`a tmpfs is needed in CI: ${why}`)
    console.log(`skipped: no tmpfs can be mounted here (${why})`)
    return undefined
  }
  // Lazily, as a process that is being killed may still hold a file.
  return { [Symbol.dispose]: () => void execFileSync('umount', ['-l', directory]) }
}
