import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { tryPort } from 'tributary/free-port.ts'
import { expect, test } from 'vitest'
import { bundleAggregator, nativePackages } from './bundle.ts'

const run = promisify(execFile)

test('the bundle runs the whole pipeline without any package but the native ones', { timeout: 90_000 }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'tributary-bundle-'))
  const main = join(await bundleAggregator(join(root, 'dist')), 'tributary.mjs')
  mkdirSync(join(root, 'node_modules'))
  for (const name of nativePackages)
    symlinkSync(fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url)), join(root, 'node_modules', name))
  const port = (await tryPort('127.0.0.1', 0))!
  const addr = ['--addr', `http://localhost:${port}`]
  const up = spawn(process.execPath, [main, 'up', '--data', join(root, 'data'), '--port', String(port)], { cwd: root })
  const ended = once(up, 'exit')
  let output = ''
  for (const stream of [up.stdout, up.stderr]) stream.on('data', (bytes) => (output += bytes))
  try {
    while (!output.includes('is running')) {
      if (up.exitCode !== null) throw new Error(output)
      await sleep(100)
    }
    const tributary = async (...args: string[]) => (await run(process.execPath, [main, ...args, ...addr])).stdout
    // Stored by the loader's thread in the engine's process.
    const query = () => tributary('query', '{namespace="demo"}', '--limit', '20', '--output', 'raw')
    await expect
      .poll(query, { timeout: 30_000, message: output })
      .toMatch(/^(ctr=\d{4} seq=\d+ crc=[0-9a-f]{8} .*\n){20}$/)
    expect(await tributary('audit')).toContain('Nothing is missing')
    const info = await fetch(`http://localhost:${port}/loki/api/v1/status/buildinfo`)
    expect(await info.json()).toMatchObject({ revision: 'tributary-0.1.0' })
  } finally {
    up.kill('SIGINT')
    await ended
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  }
})
