import { mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { noDetectors } from './cutter.ts'
import { Family } from './family.ts'
import { type Generation, noTail } from './generation.ts'
import { Identifier } from './identifier.ts'

const treatment = { stream: { labels: {}, metadata: {} }, detectors: noDetectors, filter: undefined, partial: false }

function newFamily() {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-family-'))
  const identifier = new Identifier({ cluster: 'c', node: 'n', checkpoints: [] })
  const fail = () => expect.unreachable()
  const events = { lost: fail, problem: fail, cutBack: fail, unsaved: fail, mayOpen: () => true }
  const origin = { directory, base: undefined, identity: undefined, containerId: () => undefined }
  const family = new Family(origin, identifier, events, 0)
  family.decision = { verdict: 'read', by: '', treat: () => treatment }
  onTestFinished(() => {
    for (const generation of family.generations) generation.close()
    rmSync(directory, { recursive: true })
  })
  const live = join(directory, '0.log')
  let now = 0
  const poll = () => {
    for (let i = 0; i < 3; i++) family.poll((now += 100), { busy: 0, idle: 0 })
  }
  const write = (text: string) => writeFileSync(live, `2026-01-01T00:00:00.000000000Z stdout F ${text}\n`)
  return { family, live, poll, write }
}

test.for([
  ['.20260101-000001', '.20260101-000002'],
  ['.1', undefined],
])('a file that was deleted and made anew stays between what was rotated before it and after (%s)', (suffixes) => {
  const { family, live, poll, write } = newFamily()
  const look = () => {
    poll()
    return family.generations.map((generation) => {
      const bytes = Buffer.alloc(1)
      generation.file!.read(bytes, 0, 1, 40)
      return bytes.toString()
    })
  }
  write('a')
  look()
  renameSync(live, `${live}${suffixes[0]}`)
  write('b')
  look()
  unlinkSync(live)
  write('c')
  expect(look()).toEqual(['a', 'b', 'c'])
  if (suffixes[1] === undefined) return
  renameSync(live, `${live}${suffixes[1]}`)
  write('d')
  expect(look()).toEqual(['a', 'b', 'c', 'd'])
})

test('a file that was read to its end stays so, however large it is once it is compressed', () => {
  const { family, live, poll, write } = newFamily()
  write('a')
  poll()
  const [generation] = family.generations as [Generation]
  renameSync(live, `${live}.1`)
  write('b')
  poll()
  generation.sent(generation.size, noTail)()
  generation.state = 'done'
  // Of a line or two gzip makes more than there was.
  writeFileSync(`${live}.1.gz`, gzipSync(readFileSync(`${live}.1`)))
  unlinkSync(`${live}.1`)
  poll()
  poll()
  expect(generation).toMatchObject({ path: `${live}.1.gz`, state: 'done' })
})
