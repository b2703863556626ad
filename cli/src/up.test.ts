/** `tributary up` as people run it: the command, its output, its exit code. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tryPort } from './free-port.ts'

let data: string
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'tributary-up-'))
})
afterEach(() => rmSync(data, { recursive: true, force: true, maxRetries: 5 }))

function tributary(...args: string[]) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../tributary.mjs', import.meta.url)), ...args])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  return { child, exited, output: () => output }
}

async function run(...args: string[]) {
  const { exited, output } = tributary(...args)
  const [code] = await exited
  return { code, output: output() }
}

test('it prints its address, stores the demo, and on Ctrl-C drains and ends with 0', { timeout: 60_000 }, async () => {
  const port = (await tryPort('127.0.0.1', 0))!
  const addr = `http://localhost:${port}`
  const up = tributary('up', '--data', data, '--port', String(port))
  try {
    while (!up.output().includes(addr)) await sleep(50)
    const taken = await run('up', '--data', `${data}-2`, '--port', String(port))
    expect(taken).toMatchObject({
      code: 1,
      output: expect.stringContaining(`port ${port} is in use; choose another with --port`),
    })
    const locked = await run('up', '--data', data, '--port', String((await tryPort('127.0.0.1', 0))!))
    expect(locked).toMatchObject({ code: 1, output: expect.stringContaining('is in use by process') })
    const query = () => run('query', '{namespace="demo"}', '--addr', addr, '--limit', '20', '--output', 'raw')
    while ((await query()).output.trim().split('\n').length < 20) await sleep(200)
    expect((await query()).output).toMatch(/^(ctr=\d{4} seq=\d+ crc=[0-9a-f]{8} .*\n){20}$/)
    expect(await run('audit', '--addr', addr)).toMatchObject({
      code: 0,
      output: expect.stringContaining('Nothing is missing'),
    })
  } finally {
    up.child.kill('SIGINT')
  }
  expect(await up.exited, up.output()).toEqual([0, null])
  rmSync(`${data}-2`, { recursive: true, force: true })
})

test('what an aggregator refuses, and one that is not there, is said in a sentence', async () => {
  const port = (await tryPort('127.0.0.1', 0))!
  const gone = await run('query', '{a="b"}', '--addr', `http://127.0.0.1:${port}`)
  expect(gone).toMatchObject({ code: 1, output: expect.stringContaining('is an aggregator running there?') })
  const server = net
    .createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\n\r\nparse error'))
    .listen(port)
  await once(server, 'listening')
  const refused = await run('query', '{', '--addr', `http://127.0.0.1:${port}`)
  server.close()
  expect(refused).toEqual({ code: 1, output: 'parse error\n' })
})

test.for([
  [['query'], 'missing required argument'],
  [['up', '--port', 'http'], 'a whole number from 1 to 65535'],
  [['generate', '--out', '/nowhere', '--rotation', 'never'], 'Allowed choices'],
  [['nonsense'], 'unknown command'],
] as const)('%j is wrong usage: exit code 2', async ([args, message]) => {
  expect(await run(...args)).toMatchObject({ code: 2, output: expect.stringContaining(message) })
})
