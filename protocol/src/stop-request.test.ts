import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const module = fileURLToPath(new URL('stop-request.ts', import.meta.url))
const script = `import { stopRequest } from ${JSON.stringify(module)}
const waiting = setInterval(() => {}, 1000)
const stop = stopRequest()
console.log('ready')
console.log(await stop)
clearInterval(waiting)`

test.for([
  ['SIGTERM', 'SIGTERM'],
  ['SIGHUP', 'SIGHUP'],
  ['a closed channel', 'the process that started this one is gone'],
])('%s ends a process, and it says why', async ([how, why]) => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-stop-'))
  try {
    const file = join(directory, 'run.ts')
    writeFileSync(file, script)
    const child = fork(file, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    let output = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    await expect.poll(() => output).toBe('ready\n')
    const exited = once(child, 'exit')
    if (how === 'a closed channel') child.disconnect()
    else child.kill(how as NodeJS.Signals)
    expect((await exited)[0]).toBe(0)
    expect(output).toBe(`ready\n${why}\n`)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
