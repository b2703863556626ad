import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Sink } from '../test/harness/sink.ts'
import { bundleCollector, withoutBuiltinImports } from './bundle.ts'

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
    const files = readdirSync(join(root, 'dist')).filter((name) => name !== 'node_modules')
    expect(files.every((name) => name.endsWith('.mjs'))).toBe(true)
    for (const file of files) expect(readFileSync(join(root, 'dist', file), 'utf8')).not.toMatch(/^import .*"node:/m)
    expect(readdirSync(join(root, 'dist', 'node_modules')).toSorted()).toEqual(['@koromix', 'koffi'])
    const called = `import { load } from 'koffi'; console.log(load(null).func('int getpid(void)')() === process.pid)`
    writeFileSync(join(root, 'dist', 'calls.mjs'), called)
    expect(execFileSync(process.execPath, [join(root, 'dist', 'calls.mjs')], { cwd: root, encoding: 'utf8' })).toBe(
      'true\n',
    )
  } finally {
    child.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  }
})

test.for([
  ['import fs from "node:fs";', 'const fs = process.getBuiltinModule("node:fs");'],
  ['import * as fs$1 from "node:fs";', 'const fs$1 = process.getBuiltinModule("node:fs");'],
  [
    'import { stat as stat$1, open } from "node:fs/promises";',
    'const { stat: stat$1, open } = process.getBuiltinModule("node:fs/promises");',
  ],
  [
    'import net, { isIP } from "node:net";',
    'const net = process.getBuiltinModule("node:net"); const { isIP } = process.getBuiltinModule("node:net");',
  ],
  ['import { t as parse } from "./other.mjs";', 'import { t as parse } from "./other.mjs";'],
  ['const a = `import fs from "node:fs"`;', 'const a = `import fs from "node:fs"`;'],
])('%s', ([written, expected]) => {
  expect(withoutBuiltinImports(`a();\n${written}\nb();\n`)).toBe(`a();\n${expected}\nb();\n`)
})
