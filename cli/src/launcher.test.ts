/** `tributary.mjs` on a Node that runs no TypeScript: it starts another, and is what people send signals to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { childrenOf } from '../../test/harness/processes.ts'

const launcher = fileURLToPath(new URL('../tributary.mjs', import.meta.url))
const older = `data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.0.0' } })`

test.for([{ asked: 'once' }, { asked: 'twice, as by who stops all processes of a service' }])(
  'a collector that is told to stop $asked ends as it should',
  async ({ asked }) => {
    const root = mkdtempSync(join(tmpdir(), 'tributary-launcher-'))
    try {
      const file = join(root, 'collector.yaml')
      const http = '{ listen: 127.0.0.1, port: 0 }'
      writeFileSync(
        file,
        `stateDir: ${root}/state\nlogs: { path: ${root} }\naggregator: { address: "127.0.0.1:1" }\nhttp: ${http}\n`,
      )
      const child = spawn(process.execPath, ['--import', older, launcher, 'collector', '--config', file])
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
      await expect.poll(() => output, { timeout: 20_000 }).toContain('collector started')
      const [collector] = childrenOf(child.pid!)
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      if (asked !== 'once') process.kill(collector!, 'SIGTERM')
      expect(await exited, output).toEqual([0, null])
      expect(output).toContain('stopping')
      expect(existsSync(`/proc/${collector}`)).toBe(false)
    } finally {
      rmSync(root, { recursive: true, force: true, maxRetries: 5 })
    }
  },
)
