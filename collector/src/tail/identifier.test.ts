import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import { parseGeneration } from '../discover/layout.ts'
import type { Family } from './family.ts'
import { Identifier } from './identifier.ts'

const family = { origin: { base: 'app.log', identity: undefined }, generations: [] } as unknown as Family

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-identifier-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function identify(name: string, checkpoints: readonly Checkpoint[] = []) {
  const path = join(directory, name)
  const identifier = new Identifier({ cluster: 'c', node: 'n', checkpoints })
  const found = identifier.identify(family, path, parseGeneration(name, 'app.log')!, statSync(path))
  if (found === 'unknown') return expect.unreachable()
  found.file.close()
  const { id, identity } = found
  const source = id.toString('hex')
  return { source, path, offset: 0, seen: 8, done: false, ...identity, tail: [0, 0] } satisfies Checkpoint
}

test('plain text of which nothing was read is known again when rotation has compressed it', () => {
  writeFileSync(join(directory, 'app.log'), 'one\ntwo\n')
  const unread = identify('app.log')
  writeFileSync(join(directory, 'app.log.1.gz'), gzipSync('one\ntwo\nthree\n'))
  expect(identify('app.log.1.gz', [unread]).source).toBe(unread.source)
})

test('of compressed files that begin alike each is known by its size', () => {
  writeFileSync(join(directory, 'app.log'), 'one\ntwo\n')
  const unread = identify('app.log')
  writeFileSync(join(directory, 'app.log.1'), 'one\nfour\n')
  const done = { ...identify('app.log.1'), offset: 9, seen: 9, done: true }
  for (const checkpoints of [
    [unread, done],
    [done, unread],
  ]) {
    writeFileSync(join(directory, 'app.log.1.gz'), gzipSync('one\ntwo\n'))
    expect(identify('app.log.1.gz', checkpoints).source).toBe(unread.source)
    writeFileSync(join(directory, 'app.log.1.gz'), gzipSync('one\nfour\n'))
    expect(identify('app.log.1.gz', checkpoints).source).toBe(done.source)
  }
})
