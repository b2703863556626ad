import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { watchConfig } from './config-watch.ts'

let root: string
let stop: AbortController
let seen: string[]
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-watch-'))
  stop = new AbortController()
  seen = []
})
afterEach(() => {
  stop.abort()
  rmSync(root, { recursive: true, force: true })
})

function watch(file: string, settle = 5, interval = 5): () => Promise<unknown> {
  const read = () => {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      return 'unreadable'
    }
  }
  return watchConfig({ file, interval, settle }, async () => seen.push(read()), stop.signal)
}

/** A directory as the kubelet mounts a ConfigMap: `collector.yaml` leads through `..data` to a directory per version. */
function mount(version: string): void {
  mkdirSync(join(root, `..${version}`))
  writeFileSync(join(root, `..${version}`, 'collector.yaml'), version)
  symlinkSync(`..${version}`, join(root, '..data_tmp'))
  renameSync(join(root, '..data_tmp'), join(root, '..data'))
}

test("a ConfigMap's new version is seen once, an equal one not at all", async () => {
  mount('one')
  symlinkSync('..data/collector.yaml', join(root, 'collector.yaml'))
  watch(join(root, 'collector.yaml'))
  mount('two')
  await expect.poll(() => seen).toEqual(['two'])
  mkdirSync(join(root, '..three'))
  writeFileSync(join(root, '..three', 'collector.yaml'), 'two')
  symlinkSync('..three', join(root, '..data_tmp'))
  renameSync(join(root, '..data_tmp'), join(root, '..data'))
  await sleep(50)
  expect(seen).toEqual(['two'])
})

test('a file that is being written is waited for, one that is gone is told, and one that is back too', async () => {
  const file = join(root, 'collector.yaml')
  writeFileSync(file, 'one')
  watch(file, 300)
  for (let i = 0; i < 10; i++) {
    writeFileSync(file, `half ${i}`)
    await sleep(10)
  }
  expect(seen).toEqual([])
  writeFileSync(file, 'whole')
  await expect.poll(() => seen).toEqual(['whole'])
  unlinkSync(file)
  await expect.poll(() => seen).toEqual(['whole', 'unreadable'])
  writeFileSync(file, 'back')
  await expect.poll(() => seen.at(-1)).toBe('back')
})

test('a look that is asked for sees the content whatever it is, and only what comes after is new', async () => {
  const file = join(root, 'collector.yaml')
  writeFileSync(file, 'one')
  const look = watch(file, 5, 50)
  await look()
  writeFileSync(file, 'two')
  await look()
  // Back at once: the same as when the watch began, and another than what was taken last.
  writeFileSync(file, 'one')
  await expect.poll(() => seen).toEqual(['one', 'two', 'one'])
  await sleep(150)
  expect(seen).toHaveLength(3)
})
