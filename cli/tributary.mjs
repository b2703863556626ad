#!/usr/bin/env node
// Starts the command on a Node that runs TypeScript: this one, or the one that npm installed beside us.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

if (Number.parseInt(process.versions.node, 10) >= 24) await import('./src/main.ts')
else {
  const node = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node')
  const main = fileURLToPath(new URL('./src/main.ts', import.meta.url))
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal sends these two to both processes; else only this one may have been told.
      if (signal === 'SIGTERM' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    throw error
  })
  child.on('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
