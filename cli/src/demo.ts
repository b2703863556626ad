/** The demo of `tributary up`: a few containers of a small shop that write, and rotate, as on a node. */
import { join } from 'node:path'
import { generate, generateDefaults } from './generate/generate.ts'

/** Where the demo's logs can be read, once they are written. */
export function demoLogs(directory: string): string {
  return join(directory, 'containers')
}

/** Writes until the signal. Every run is a restart of the same containers. */
export async function runDemo(directory: string, signal: AbortSignal): Promise<void> {
  const options = {
    ...generateDefaults,
    out: directory,
    containers: 6,
    rate: 30,
    durationMs: Number.POSITIVE_INFINITY,
    rotateBytes: 256 * 1024,
    keep: 4,
    partialPercent: 1,
    pieceBytes: 100,
  }
  await generate(options, signal)
}
