import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { DirectoryLockedError, lockDirectory } from './directory-lock.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-lock-'))
afterAll(() => rmSync(directory, { recursive: true }))

test('a directory belongs to one holder at a time, under whatever name, and the second is told who it is', async () => {
  const link = join(directory, 'link')
  symlinkSync(directory, link)
  const lock = await lockDirectory(directory)
  await expect(lockDirectory(link)).rejects.toThrow(DirectoryLockedError)
  await expect(lockDirectory(directory)).rejects.toThrow(`in use by process ${process.pid}`)
  await lock[Symbol.asyncDispose]()
  await (await lockDirectory(link))[Symbol.asyncDispose]()
})
