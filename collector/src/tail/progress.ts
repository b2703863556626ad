/** Whether there is anything new to save. Asked for every second, so nothing is made of each of thousands of logs. */
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import type { Family } from './family.ts'
import type { Generation } from './generation.ts'

/** Its checkpoint is of use to the next process. */
export function isKept({ state, unlinked }: Generation): boolean {
  return !(state === 'done' && unlinked)
}

/**
 * Changes whenever checkpoints do: of a source offset, size and being done only ever grow, and names change when sources come or go. One that takes
 * the place of another, because its file began anew, counts one truncation more.
 */
export function progressOf(
  families: Iterable<Pick<Family, 'generations'>>,
  orphans: readonly Generation[],
  unclaimed: readonly Checkpoint[],
): string {
  let [count, offsets, seen, done, truncations] = [0, 0, 0, 0, 0]
  const add = (offset: number, size: number, isDone: boolean, truncated: number) => {
    count++
    offsets += offset
    seen += size
    if (isDone) done++
    truncations += truncated
  }
  const addAll = (generations: readonly Generation[]) => {
    for (const one of generations)
      if (isKept(one)) add(one.frontier.offset, one.size, one.state === 'done', one.identity.truncations)
  }
  for (const { generations } of families) addAll(generations)
  addAll(orphans)
  for (const one of unclaimed) add(one.offset, one.seen, one.done, one.truncations)
  return `${count} ${offsets} ${seen} ${done} ${truncations}`
}
