/** The demo of `tributary up`: a few containers that write, and rotate, as on a node. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { generate, generateDefaults } from './generate/generate.ts'

/** Lines per second of all containers together, as little as a laptop doesn't notice. */
const rate = 30

/** The directory of its logs; there before {@link runDemo} writes to it. */
export function demoLogs(directory: string): string {
  const logs = join(directory, 'containers')
  mkdirSync(logs, { recursive: true })
  return logs
}

export async function runDemo(directory: string, signal: AbortSignal): Promise<void> {
  const size = { containers: 6, rate, durationMs: Number.POSITIVE_INFINITY, rotateBytes: 256 * 1024, keep: 4 }
  await generate({ ...generateDefaults, ...size, out: directory, seed: 1, partialPercent: 1, pieceBytes: 64 }, signal)
}
