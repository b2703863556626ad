#!/usr/bin/env node
// Starts the command on a Node that runs TypeScript: this one, or the one that npm installed beside us.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

if (Number.parseInt(process.versions.node, 10) >= 24) await import('./src/main.ts')
else {
  const node = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node')
  // A terminal sends its signals to both processes; this one waits for what the other makes of them.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {})
  const main = fileURLToPath(new URL('./src/main.ts', import.meta.url))
  const { status, signal, error } = spawnSync(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  if (error) throw error
  process.exitCode = signal ? 1 : status
}
