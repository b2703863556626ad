import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Sink } from '../test/harness/sink.ts'
import { bundleCollector } from './bundle.ts'

test('the bundle collects as the sources do, without any of the packages', { timeout: 60_000 }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'tributary-bundle-'))
  await using sink = await Sink.listen({ keep: true })
  const main = await bundleCollector(join(root, 'dist'))
  mkdirSync(join(root, 'logs'))
  writeFileSync(join(root, 'logs', 'app.log'), 'from the bundle\n')
  const config = {
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'logs') },
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
  }
  writeFileSync(join(root, 'collector.yaml'), JSON.stringify(config))
  // Somewhere without node_modules.
  const child = spawn(process.execPath, [main, '--config', join(root, 'collector.yaml')], { cwd: root })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
  try {
    await expect.poll(() => sink.lines(), { timeout: 20_000, message: output }).toEqual(['from the bundle'])
    // A page that is loaded when it is asked for.
    const [, port] = /"http":(\d+)/.exec(output)!
    expect(await (await fetch(`http://127.0.0.1:${port}/why`)).json()).toMatchObject({ ok: true, logsFound: 1 })
    expect(readdirSync(join(root, 'dist')).every((name) => name.endsWith('.mjs'))).toBe(true)
  } finally {
    child.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  }
})
