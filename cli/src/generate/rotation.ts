/**
 * How logs are rotated, each step as those who do it: the kubelet renames, has the runtime open a new file a little later, and compresses
 * all old generations but the newest; docker and logrotate number them; copytruncate copies and empties the file.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/logs/container_log_manager.go
 */
import { copyFileSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import type { Place } from './layout.ts'
import { timeSuffix } from './layout.ts'
import type { GenerationTruth } from './truth.ts'

/** `rename`: nothing is compressed. `kubelet`: all but the newest old one. `gzip`: each as soon as the new file is there. */
export const rotationKinds = ['rename', 'kubelet', 'gzip', 'copytruncate'] as const
export type RotationKind = (typeof rotationKinds)[number]

export class Rotator {
  readonly #place: Place
  readonly #kind: RotationKind
  readonly #keep: number
  /** Old generations on disk, the oldest first. */
  readonly #old: GenerationTruth[] = []
  #lastSecond = 0

  /** @param keep how many old generations stay on disk */
  constructor(place: Place, kind: RotationKind, keep: number) {
    this.#place = place
    this.#kind = kind
    this.#keep = keep
  }

  /** Gives the active file's content its old generation's name. Afterwards the active name is free, or its file about to be emptied. */
  retire(generation: GenerationTruth, nowMs: number): void {
    if (this.#kind === 'kubelet') for (const old of this.#old) this.#compress(old)
    const path = this.#nameFor(nowMs)
    if (this.#kind === 'copytruncate') copyFileSync(this.#place.active, path)
    else renameSync(this.#place.active, path)
    generation.path = path
    this.#old.push(generation)
  }

  /** What is done once the new file is there. */
  settle(): void {
    if (this.#kind === 'gzip') for (const old of this.#old) this.#compress(old)
    while (this.#old.length > this.#keep) {
      const oldest = this.#old.shift()!
      unlinkSync(oldest.path)
      oldest.deleted = true
    }
  }

  #nameFor(nowMs: number): string {
    const { active, numbered } = this.#place
    if (numbered) {
      // From the oldest on, so that no name is taken.
      this.#old.forEach((old, i) => {
        const path = `${active}.${this.#old.length + 1 - i}${old.path.endsWith('.gz') ? '.gz' : ''}`
        renameSync(old.path, path)
        old.path = path
      })
      return `${active}.1`
    }
    // The kubelet's names tell seconds and never repeat: what rotates more often runs ahead of the clock.
    this.#lastSecond = Math.max(Math.floor(nowMs / 1000), this.#lastSecond + 1)
    return `${active}.${timeSuffix(this.#lastSecond)}`
  }

  #compress(old: GenerationTruth): void {
    if (old.path.endsWith('.gz')) return
    const temporary = `${old.path}.tmp`
    const compressed = `${old.path}.gz`
    writeFileSync(temporary, gzipSync(readFileSync(old.path), { level: 1 }))
    renameSync(temporary, compressed)
    unlinkSync(old.path)
    old.path = compressed
  }
}
