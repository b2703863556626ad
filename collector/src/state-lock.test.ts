import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockState, StateLockedError } from './state-lock.ts'

let root: string
let directory: string
const said: string[] = []
const log = pino({ level: 'info' }, { write: (line: string) => said.push(line) })

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-state-lock-'))
  // Longer than the path of a socket may be.
  directory = join(root, 'x'.repeat(120))
  mkdirSync(directory)
  said.length = 0
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const lock = (patience = 0, signal?: AbortSignal) => lockState(directory, { patience, log, signal })

test('a state directory belongs to one collector at a time, and the second is told whose it is and what to do', async () => {
  const first = await lock()
  await expect(lock()).rejects.toThrow(StateLockedError)
  await expect(lock()).rejects.toThrow(
    new RegExp(`stateDir: ${directory} is in use by process ${process.pid} on .*: stop it, or give`),
  )
  await first[Symbol.asyncDispose]()
  expect(readdirSync(directory)).toEqual([])
  await (await lock())[Symbol.asyncDispose]()
})

test('one that is stopping is waited for, which is said', async () => {
  const first = await lock()
  const second = lock(10_000)
  await expect.poll(() => said.join('')).toMatch(/waiting for 10 s at most.*/)
  await first[Symbol.asyncDispose]()
  await (await second)[Symbol.asyncDispose]()
})

test('whoever waits can be told to stop', async () => {
  await using _ = await lock()
  await expect(lock(60_000, AbortSignal.timeout(100))).rejects.toThrow(StateLockedError)
})

test('a process that was killed holds nothing, however many come at once', { timeout: 20_000 }, async () => {
  const script = join(root, 'holder.mjs')
  const module = new URL('state-lock.ts', import.meta.url)
  writeFileSync(
    script,
    `const { lockState } = await import(${JSON.stringify(module.href)})
     await lockState(${JSON.stringify(directory)}, { patience: 0, log: console })
     process.send('locked')
     setInterval(() => {}, 1000)`,
  )
  const child = fork(script)
  await once(child, 'message')
  await expect(lock()).rejects.toThrow(`in use by process ${child.pid} on`)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(readdirSync(directory)).toEqual(['lock'])
  const taken = await Promise.allSettled(Array.from({ length: 5 }, () => lock()))
  const held = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  expect(held).toHaveLength(1)
  await held[0]![Symbol.asyncDispose]()
})

test('where no socket can be made there is no lock, and that is said', async () => {
  rmSync(directory, { recursive: true })
  writeFileSync(directory, '')
  await (await lock())[Symbol.asyncDispose]()
  await sleep(0)
  expect(said.join('')).toContain('no lock in the state directory')
})

test('what is no lock and stays in its place is not waited for', async () => {
  mkdirSync(join(directory, 'lock'))
  await (await lock())[Symbol.asyncDispose]()
  expect(said.join('')).toContain('no lock in the state directory')
  expect(readdirSync(directory)).toEqual(['lock'])
})
