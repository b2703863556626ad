/** The collector as a process: what signals and its configuration file make it do. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { Sink } from '../../test/harness/sink.ts'

let root: string
let sink: Sink
const children: ChildProcess[] = []
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-main-'))
  mkdirSync(join(root, 'containers'))
  sink = await Sink.listen({ keep: true })
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

const file = () => join(root, 'collector.yaml')
const configure = (keys: Record<string, unknown> = {}) =>
  writeFileSync(
    file(),
    stringify({
      stateDir: join(root, 'state'),
      logs: { path: join(root, 'containers'), scanInterval: '20ms', flushInterval: '10ms' },
      aggregator: { address: sink.address },
      http: { listen: '127.0.0.1', port: 0 },
      ...keys,
    }),
  )

/** `prefix` is a command that becomes the process. */
function start(...prefix: string[]) {
  const main = fileURLToPath(new URL('main.ts', import.meta.url))
  const [program, ...args] = [...prefix, process.execPath, main, '--config', file()]
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (bytes) => (output += bytes))
  const page = async (path: string) => {
    const port = /"http":(\d+)/.exec(output)![1]
    return await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
  }
  const says = (text: string | RegExp) => expect.poll(() => output, { timeout: 15_000 }).toMatch(text)
  return { child, page, says, output: () => output, exited: once(child, 'exit') }
}

test('SIGHUP loads the configuration again: a bad file is refused and said, a good one taken, and nothing stops meanwhile', {
  timeout: 30_000,
}, async () => {
  configure()
  const { child, page, says, exited } = start()
  await says('collector started')
  configure({ log: { level: 'loud' } })
  child.kill('SIGHUP')
  await says(/log\.level.*"msg":"configuration not reloaded/)
  expect(await page('/metrics')).toContain('collector_config_reloads_total{result="refused"} 1')
  expect(await page('/why')).toContain('the configuration file is not used')
  expect(await page('/healthz')).toBe('ok\n')
  writeFileSync(join(root, 'containers', 'app.log'), 'still here\n')
  await expect.poll(() => sink.lines()).toEqual(['still here'])
  configure({ log: { level: 'debug' }, checkpoints: { interval: '5s' } })
  child.kill('SIGHUP')
  await says(/"keys":\["checkpoints\.interval"\].*wait for a restart/)
  await says(/"keys":\["log\.level"\].*configuration reloaded/)
  const metrics = await page('/metrics')
  expect(metrics).toContain('collector_config_reloads_total{result="partial"} 1')
  expect(metrics).toContain('collector_config_stale 1')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

test('a changed file is taken without anybody saying so', { timeout: 30_000 }, async () => {
  configure()
  const { child, says, exited } = start()
  await says('collector started')
  configure({ limits: { openFiles: 100 } })
  await says(/"keys":\["limits\.openFiles"\].*configuration reloaded/)
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

test('a second process with the same state directory waits, says whose it is, and ends; after a kill the next goes on at once', {
  timeout: 30_000,
}, async () => {
  const shutdown = { drain: '1s', spool: '0s' }
  configure({ shutdown })
  const first = start()
  await first.says('collector started')
  const second = start()
  await second.says(/waiting for 6 s at most until another process lets go of the directory/)
  expect(await second.exited).toEqual([1, null])
  await second.says(`stateDir: ${join(root, 'state')} is in use by process ${first.child.pid} on `)
  const third = start()
  await third.says('waiting for 6 s')
  first.child.kill('SIGKILL')
  await third.says('collector started')
})

test('a second process on the same port says so and ends', { timeout: 30_000 }, async () => {
  configure()
  const first = start()
  await first.says('collector started')
  const port = Number(/"http":(\d+)/.exec(first.output())![1])
  configure({ http: { listen: '127.0.0.1', port }, stateDir: join(root, 'other') })
  const second = start()
  expect(await second.exited).toEqual([1, null])
  await second.says(`http.port: 127.0.0.1:${port} is in use; set another port, or 0 for a free one`)
  expect(second.output()).not.toContain('connected to aggregator')
  expect(first.child.exitCode).toBe(null)
})

test.runIf(process.platform === 'linux').for([
  { what: 'a file', below: (directory: string) => join(directory, 'collector.yaml'), reason: 'EEXIST' },
  { what: 'a place where nothing can be made', below: () => '/proc/x/y', reason: 'ENOENT' },
])('a stateDir that is $what ends the collector with what to do', { timeout: 20_000 }, async ({ below, reason }) => {
  configure({ stateDir: below(root) })
  const { says, exited } = start()
  await says(new RegExp(`stateDir: the directory .* can't be made .${reason}.*; choose another one`))
  expect((await exited)[0]).toBe(1)
})

test('a process that may open fewer files than there are logs reads what it can, and the others as soon as it may', {
  timeout: 30_000,
}, async () => {
  const log = (i: number) => join(root, 'containers', `app-${i}.log`)
  for (let i = 0; i < 60; i++) writeFileSync(log(i), `line of ${i}\n`)
  configure()
  const { page, says } = start('sh', '-c', 'ulimit -n 100 && exec "$0" "$@"')
  await says(/"connected to aggregator"/)
  await expect.poll(() => sink.lines().length, { timeout: 15_000 }).toBe(36)
  await says(/36 logs are open, and this process may have 100 files open: raise that \(ulimit -n, /)
  expect(await page('/healthz')).toBe('ok\n')
  expect(await page('/metrics')).toContain('collector_input_problems_total{reason="unreadable"} 24')
  const read = new Set(sink.lines())
  for (let i = 0; i < 60; i++) if (read.has(`line of ${i}`)) rmSync(log(i))
  await expect.poll(() => new Set(sink.lines()).size, { timeout: 15_000 }).toBe(60)
})

test('pipes that have the names of rotated logs hold nothing up', { timeout: 30_000 }, async () => {
  const log = join(root, 'containers', 'app.log')
  writeFileSync(log, 'one\ntwo\n')
  execFileSync('mkfifo', [`${log}.1`, `${log}.2.gz`])
  configure()
  const { says, page } = start()
  await says('collector started')
  await expect.poll(() => sink.lines(), { timeout: 15_000 }).toEqual(['one', 'two'])
  // A copy of it is looked for among all that have such a name.
  truncateSync(log)
  writeFileSync(log, 'x\n')
  await expect.poll(() => sink.lines(), { timeout: 15_000 }).toEqual(['one', 'two', 'x'])
  expect(await page('/healthz')).toBe('ok\n')
})
