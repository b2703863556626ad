import { expect, test } from 'vitest'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import type { Generation } from './generation.ts'
import { progressOf } from './progress.ts'

type State = Generation['state']
const source = (offset: number, size = offset, state: State = 'reading', unlinked = false, truncations = 0) =>
  ({ frontier: { offset }, size, state, unlinked, identity: { truncations } }) as Generation
const checkpoint = (offset: number) => ({ offset, seen: offset, done: false, truncations: 0 }) as Checkpoint
const of = (...generations: Generation[]) => [{ generations }]

const before = progressOf(of(source(10), source(20)), [source(30)], [checkpoint(5)])
test.for([
  { what: 'nothing', now: [of(source(10), source(20)), [source(30)], [checkpoint(5)]], same: true },
  {
    what: 'what is over and gone comes on top',
    now: [of(source(10), source(20), source(9, 9, 'done', true)), [source(30)], [checkpoint(5)]],
    same: true,
  },
  { what: 'an acknowledgement', now: [of(source(10), source(21, 20)), [source(30)], [checkpoint(5)]], same: false },
  { what: 'a line was written', now: [of(source(10), source(20, 21)), [source(30)], [checkpoint(5)]], same: false },
  {
    what: 'a source is done',
    now: [of(source(10), source(20, 20, 'done')), [source(30)], [checkpoint(5)]],
    same: false,
  },
  {
    what: 'a source took the place of another',
    now: [of(source(10), source(20, 20, 'reading', false, 1)), [source(30)], [checkpoint(5)]],
    same: false,
  },
  { what: 'an orphan is over', now: [of(source(10), source(20)), [], [checkpoint(5)]], same: false },
  { what: 'a checkpoint is claimed', now: [of(source(10), source(20)), [source(30)], []], same: false },
] as const)('when $what, the same is to be saved: $same', ({ now: [families, orphans, unclaimed], same }) => {
  expect(progressOf(families, orphans, unclaimed) === before).toBe(same)
})
