import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DirectoryLockedError, lockDirectory } from './directory-lock.ts'

let root: string
let directory: string
const said: string[] = []
const warn = (fields: object, message: string) => said.push(`${message} ${JSON.stringify(fields)}`)

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-directory-lock-'))
  // Longer than the path of a socket may be.
  directory = join(root, 'x'.repeat(120))
  mkdirSync(directory)
  said.length = 0
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const lock = (patience = 0, signal?: AbortSignal) =>
  lockDirectory(directory, { key: 'stateDir', patience, warn, signal })

test('a directory belongs to one process at a time, under whatever name, and the second is told whose it is and what to do', async () => {
  const first = await lock()
  await expect(lock()).rejects.toThrow(DirectoryLockedError)
  await expect(lock()).rejects.toThrow(
    new RegExp(`stateDir: ${directory} is in use by process ${process.pid} on .*: stop it, or give`),
  )
  symlinkSync(directory, join(root, 'link'))
  await expect(lockDirectory(join(root, 'link'), { key: 'stateDir', patience: 0, warn })).rejects.toThrow('is in use')
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
  await expect(lock(60_000, AbortSignal.timeout(100))).rejects.toThrow(DirectoryLockedError)
})

/** A script that takes the lock, tells so, and keeps it. */
function holder(): string {
  const script = join(root, 'holder.mjs')
  const module = new URL('directory-lock.ts', import.meta.url)
  writeFileSync(
    script,
    `const { lockDirectory } = await import(${JSON.stringify(module.href)})
     await lockDirectory(${JSON.stringify(directory)}, { key: 'stateDir', patience: 0, warn: console.warn })
     process.send?.('locked')
     setInterval(() => {}, 1000)`,
  )
  return script
}

test('one in a container of its own finds it locked, too', { timeout: 20_000 }, async (context) => {
  await using _ = await lock()
  // Asynchronous, as it is this process that answers.
  const args = ['--net', '--uts', process.execPath, holder()]
  const { stderr } = await promisify(execFile)('unshare', args).catch((error: { stderr?: string }) => error)
  if (stderr === undefined || stderr.startsWith('unshare: ')) return context.skip('no network namespace can be made')
  expect(stderr).toContain(`in use by process ${process.pid} on`)
})

test('a process that was killed holds nothing, however many come at once', { timeout: 20_000 }, async () => {
  const child = fork(holder())
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
  expect(said.join('')).toContain('no lock in the directory')
})

test('what is no lock and stays in its place is not waited for', async () => {
  mkdirSync(join(directory, 'lock'))
  await (await lock())[Symbol.asyncDispose]()
  expect(said.join('')).toContain('no lock in the directory')
  expect(readdirSync(directory)).toEqual(['lock'])
})
