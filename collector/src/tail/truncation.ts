/** What becomes of a generation whose file began anew, or lost its end: what was unread of it is in a copy, still there, or lost. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing } from '@tributary/protocol/disk.ts'
import { parseGeneration } from '../discover/layout.ts'
import type { Family, FamilyEvents } from './family.ts'
import type { Generation, Relocation } from './generation.ts'
import type { Identifier, Severed } from './identifier.ts'
import { GzipFile, PlainFile } from './log-file.ts'

/** Where the generation is one of. */
export interface Surroundings {
  readonly family: Pick<Family, 'origin' | 'generations'>
  readonly identifier: Identifier
  readonly events: FamilyEvents
}

/** The file that is held open has not the bytes of its source any more. What it is now, the next look at the directory tells. */
export function truncate(generation: Generation, surroundings: Surroundings): void {
  const { identifier, events } = surroundings
  const { identity, path, file, name } = generation
  const cut = name.rotation === '' ? identifier.cutBack(generation, file) : undefined
  if (cut) cutOff(generation, path, cut, events)
  if (cut?.readable && file instanceof PlainFile) {
    file.end = cut.at + file.start
    generation.endAt(file.end, 'truncated')
    return
  }
  generation.close()
  identifier.restarted(identity)
  const copy = generation.relocated ? undefined : findCopy(generation, path, surroundings)
  if (copy) generation.relocate(copy)
  else lose(generation, events)
}

/** The file goes on as another source, and nothing of this one that was unread is left. */
export function sever(generation: Generation, path: string, severed: Severed, events: FamilyEvents): void {
  cutOff(generation, path, severed, events)
  lose(generation, events)
}

function cutOff(generation: Generation, path: string, { at, size }: Severed, events: FamilyEvents): void {
  // It grew past what it was seen to have: by what is not this source's.
  if (size >= generation.size) generation.size = Math.max(generation.position, generation.sizeWhenRead)
  generation.cutOff = true
  generation.unlinked = true
  giveUpName(generation)
  events.cutBack(path, at)
}

function lose(generation: Generation, events: FamilyEvents): void {
  generation.unlinked = true
  generation.ended = true
  giveUpName(generation)
  if (generation.state !== 'done') events.lost(generation, 'truncated')
}

/** The name, and with it the place in the order, is now of what begins there. */
function giveUpName(generation: Generation): void {
  generation.name = { ...generation.name, rotation: generation.name.rotation || '.0-truncated', lasting: true }
}

function findCopy(
  generation: Generation,
  original: string,
  { family, identifier, events }: Surroundings,
): Relocation | undefined {
  const { directory, base } = family.origin
  for (const entry of readdirSync(directory)) {
    const name = parseGeneration(entry, base)
    const path = join(directory, entry)
    if (name === undefined || path === original || family.generations.some((one) => one.path === path)) continue
    try {
      if (!identifier.matches(generation, path)) continue
      const file = name.gzip ? new GzipFile(path, generation.start) : new PlainFile(path, generation.start)
      return { path, name, file }
    } catch (error) {
      if (!isMissing(error)) events.problem(path, error as NodeJS.ErrnoException)
    }
  }
  return undefined
}
