/** Docker as the tests use it. `test/images/install` installs and starts it. */
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { commandsOf } from './commands.ts'

export const repository = fileURLToPath(new URL('../..', import.meta.url))

/** Images as docs/install.md has them made, and as the chart names them. */
export const images = {
  base: 'node:24-slim',
  collector: 'tributary/collector:0.1.0',
  aggregator: 'tributary/aggregator:0.1.0',
  withoutEngine: 'tributary/aggregator:0.1.0-without-engine',
} as const

/** Why tests with containers cannot run here, as a note; undefined when they can. In CI that is a failure. */
export function dockerMissing(...more: ('compose' | 'root')[]): string | undefined {
  const reason = whatIsMissing(more)
  if (reason === undefined) return undefined
  if (process.env['CI'] === 'true') throw new Error(`needed in CI: ${reason}`)
  console.log(`skipped: ${reason}`)
  return reason
}

function whatIsMissing(more: readonly string[]): string | undefined {
  const answers = (...args: string[]) => spawnSync('docker', args, { encoding: 'utf8' }).status === 0
  if (!answers('version')) return 'no Docker answers: install and start it, or run test/images/install as root'
  if (more.includes('compose') && !answers('compose', 'version'))
    return 'no docker compose (version 2): install it, or run test/images/install as root'
  if (more.includes('root') && process.getuid?.() !== 0)
    return 'only root can make the files of a node as they are, and answer DNS'
  return undefined
}

/** Runs `docker` to its end; what it printed, without the space around it. Throws with what it complained about. */
export function docker(...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('docker', args, { maxBuffer: 1 << 26, cwd: repository }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim())
      else reject(new Error(`docker ${args.join(' ')}: ${stderr.trim() || error.message}`))
    })
  })
}

/** What `docker inspect` tells. */
export async function inspect<T>(name: string): Promise<T> {
  return (JSON.parse(await docker('inspect', name)) as [T])[0]
}

/** A container's address in the one network that it is in. */
export async function addressOf(container: string): Promise<string> {
  const { NetworkSettings } = await inspect<{ NetworkSettings: { Networks: Record<string, { IPAddress: string }> } }>(
    container,
  )
  return Object.values(NetworkSettings.Networks)[0]!.IPAddress
}

/** Makes the images with the commands of docs/install.md; those that are up to date take a second. */
export async function buildImages(): Promise<void> {
  // Those of one Dockerfile share their steps, and go one after the other.
  const byFile = Map.groupBy(commandsOf('docs/install.md', 'Images'), (command) => /--file (\S+)/.exec(command)?.[1])
  const build = async (commands: readonly string[]) => {
    for (const command of commands) {
      const [program, ...args] = command.split(' ')
      if (program !== 'docker') throw new Error(`not for Docker: ${command}`)
      await docker(...args)
    }
  }
  await Promise.all([...byFile.values()].map(build))
}

/** What two containers of a test may not share. */
export function uniqueName(what: string): string {
  return `tributary-test-${process.pid}-${what}`
}

/** Whether a page says 200. A port of Docker's takes connections before the container does. */
export async function answers(url: string): Promise<boolean> {
  return (await fetch(url, { signal: AbortSignal.timeout(3000) }).catch(() => undefined))?.status === 200
}
