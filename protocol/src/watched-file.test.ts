import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Secret } from './secret.ts'
import { FileError, WatchedFile } from './watched-file.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-watched-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** As the kubelet writes a Secret: files in a directory of their own, reached over a link that is swapped. */
function mount(name: string, content: string): string {
  const version = join(directory, `..${Math.random()}`)
  mkdirSync(version)
  writeFileSync(join(version, name), content)
  symlinkSync(version, join(directory, '..data_tmp'))
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
  const path = join(directory, name)
  rmSync(path, { force: true })
  symlinkSync(join('..data', name), path)
  return path
}

test('a swapped link gives the new content, and what can not be read keeps the old one', () => {
  const events: string[] = []
  const path = mount('key', 'one')
  const file = new WatchedFile({
    key: 'forward.tls.keyFile',
    path,
    interval: 0,
    events: { onChange: (key) => events.push(`changed ${key}`), onProblem: (_, problem) => events.push(problem) },
  })
  expect(file.content.toString()).toBe('one')
  mount('key', 'two')
  expect(file.content.toString()).toBe('two')
  unlinkSync(path)
  expect([file.content, file.content].map(String)).toEqual(['two', 'two'])
  writeFileSync(path, '')
  expect(file.content.toString()).toBe('two')
  writeFileSync(path, 'three')
  expect(file.content.toString()).toBe('three')
  expect(events).toEqual([
    'changed forward.tls.keyFile',
    `forward.tls.keyFile: ${path} cannot be read (ENOENT)`,
    `forward.tls.keyFile: ${path} is empty`,
    'changed forward.tls.keyFile',
  ])
})

test('it is looked at once in a while, not each time', () => {
  const path = mount('key', 'one')
  const file = new WatchedFile({ key: 'k', path, interval: 60_000 })
  mount('key', 'two')
  expect(file.content.toString()).toBe('one')
})

test('a file that is not there is an error that names its key', () => {
  expect(() => new WatchedFile({ key: 'a.b', path: join(directory, 'none') })).toThrow(FileError)
  expect(() => Secret.from('a.b', undefined, join(directory, 'none'))).toThrow(
    /^a\.bFile: .*none cannot be read \(ENOENT\)$/,
  )
})

test('a secret is shown by nothing but itself', () => {
  const path = mount('secret', 'pa55 word\n')
  for (const secret of [Secret.from('k', 'pa55 word'), Secret.from('k', undefined, path)]) {
    expect(secret!.current).toBe('pa55 word')
    for (const text of [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ secret }, { depth: 9, showHidden: true }),
    ])
      expect(text).not.toContain('pa55')
  }
  expect(Secret.from('k')).toBeUndefined()
})
