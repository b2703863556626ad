/** Sources that the checkpoints know and whose files are gone: what they had unread can only be reported. */
import { statSync } from 'node:fs'
import { isMissing } from '@tributary/protocol/disk.ts'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import type { SpoolName } from '../spool/spool-format.ts'
import { noDetectors } from './cutter.ts'
import { Generation } from './generation.ts'

/** Nothing leads to this source's file any more: its name is gone or another file's. An error that passes is no proof. */
export function isGone({ path, ino }: Checkpoint): boolean {
  try {
    return statSync(path).ino !== ino
  } catch (error) {
    return isMissing(error)
  }
}

/** A source whose spool file does not even tell whose bytes it has; its name tells which. */
export function spoolOrphanOf(
  { source, from, end }: SpoolName,
  checkpoint: Checkpoint | undefined,
  config: { cluster: string; node: string },
  now: number,
): Generation {
  const unknown: Checkpoint = {
    source,
    path: '',
    offset: from,
    seen: end,
    done: false,
    dev: 0,
    ino: 0,
    truncations: 0,
    head: 0,
    tail: [0, 0],
  }
  const offset = Math.max(from, checkpoint?.offset ?? 0)
  const generation = orphanOf(
    { ...unknown, ...checkpoint, offset, seen: Math.max(end, offset), done: false },
    config,
    now,
  )
  generation.lostAs = 'corrupt'
  return generation
}

/** The source of a checkpoint without a file. What its stream was, the ledger knows from its chunks. */
export function orphanOf(
  checkpoint: Checkpoint,
  { cluster, node }: { cluster: string; node: string },
  now: number,
): Generation {
  const { source, path, seen, dev, ino, truncations, head } = checkpoint
  const generation = new Generation(
    {
      id: Buffer.from(source, 'hex'),
      name: { restart: 0, rotation: '', gzip: false, lasting: false },
      path,
      identity: { dev, ino, truncations, head },
      format: 'plain',
      treatment: {
        stream: { labels: { cluster, node }, metadata: {} },
        detectors: noDetectors,
        filter: undefined,
        partial: false,
      },
      file: undefined,
      size: seen,
      modifiedMs: 0,
      checkpoint,
    },
    now,
  )
  generation.unlinked = true
  return generation
}
