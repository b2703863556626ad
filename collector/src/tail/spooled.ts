/** A source whose unread bytes move from a deleted file to the spool, and one that an earlier process left there. */
import { crc32 } from 'node:zlib'
import { fingerprintBytes, fingerprintOf } from '@tributary/protocol/source.ts'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import type { GenerationName } from '../discover/layout.ts'
import type { Spooled } from '../spool/spool.ts'
import type { SpoolHeader } from '../spool/spool-format.ts'
import { noDetectors } from './cutter.ts'
import type { FamilyOrigin } from './family.ts'
import { Generation, tailBytes } from './generation.ts'
import type { LogFile } from './log-file.ts'
import type { Treatment } from './treatment.ts'

/**
 * What the spool has to know of a generation of the log with this origin, whose bytes are not acknowledged from `from` on. Undefined when
 * its file is another's by now.
 */
export async function describeForSpool(
  { directory, base, identity, containerId }: FamilyOrigin,
  generation: Generation,
  file: LogFile,
  from: number,
): Promise<SpoolHeader | undefined> {
  const buffer = Buffer.alloc(fingerprintBytes)
  const bytes = buffer.subarray(0, await file.read(buffer, 0, fingerprintBytes, file.start))
  const head = fingerprintOf(bytes) ?? bytes
  if (crc32(head) !== generation.identity.head) return undefined
  const { source, format, path, name, position, modifiedMs, treatment } = generation
  // The time of the last record is known for the position, which is ahead while chunks are in flight.
  const known = from === position
  return {
    source,
    first: Math.max(0, from - tailBytes),
    format,
    path,
    log: { directory, base, identity, containerId: containerId(name.restart) },
    name: { restart: name.restart, rotation: name.rotation, lasting: name.lasting },
    head: head.toString('base64'),
    truncations: generation.identity.truncations,
    cutBack: generation.cutBack,
    modifiedMs,
    seconds: known ? generation.seconds : 0,
    nanoseconds: known ? generation.nanoseconds : 0,
    ...treatment.stream,
    partial: treatment.partial,
  }
}

/** From now on it is read from the spool, and the deleted file gives back its disk. */
export function moveToSpool(generation: Generation, spooled: Spooled, file: LogFile): void {
  generation.close()
  generation.file = file
  generation.spooled = spooled
  generation.name = nameInSpool(spooled)
  generation.identity = { ...generation.identity, dev: 0, ino: 0 }
  generation.size = Math.max(generation.size, spooled.end)
  generation.established = false
  settle(generation)
}

/** The generation of a file that an earlier process left. */
export function generationOf(
  spooled: Spooled,
  { file, checkpoint, now }: { file: LogFile; checkpoint: Checkpoint | undefined; now: number },
): Generation {
  const { header, source, from, end } = spooled
  const { path, format, head, truncations, cutBack, modifiedMs, labels, metadata, partial } = header
  const identity = { dev: 0, ino: 0, truncations, head: crc32(Buffer.from(head, 'base64')) }
  const offset = Math.min(end, Math.max(from, checkpoint?.offset ?? 0))
  const treatment = { stream: { labels, metadata }, detectors: noDetectors, filter: undefined, partial }
  const generation = new Generation(
    {
      id: Buffer.from(source, 'hex'),
      name: nameInSpool(spooled),
      path,
      identity,
      cutBack,
      format,
      treatment,
      file,
      size: end,
      modifiedMs,
      checkpoint: { source, path, offset, seen: end, done: false, ...identity, cutBack, tail: [0, 0] },
    },
    now,
  )
  if (offset === from) [generation.seconds, generation.nanoseconds] = [header.seconds, header.nanoseconds]
  generation.spooled = spooled
  settle(generation)
  return generation
}

/** Its stream stays what it was when its first chunks were sent, unless the pod was not known then. */
export function treatSpooled(spooled: Spooled, treatment: Treatment): Treatment {
  const { labels, metadata, partial } = spooled.header
  return partial ? treatment : { ...treatment, stream: { labels, metadata }, partial: false }
}

/** The log it belongs to, where no name leads there any more. */
export function originOf({ header: { log, name } }: Spooled): FamilyOrigin {
  const { directory, base, identity, containerId } = log
  return { directory, base, identity, containerId: (restart) => (restart === name.restart ? containerId : undefined) }
}

/** Nobody writes to it, and no listing of its directory has it. */
function settle(generation: Generation): void {
  generation.unlinked = true
  generation.ended = true
  generation.changedAt = Number.NEGATIVE_INFINITY
}

/** Numbers that rotation gives out move on to other files: in the spool the order of spooling takes their place. */
function nameInSpool({ header: { name }, sequence }: Spooled): GenerationName {
  if (name.lasting || name.rotation === '') return { ...name, gzip: false }
  return { ...name, rotation: `.0-spooled-${String(sequence).padStart(12, '0')}`, lasting: true, gzip: false }
}
