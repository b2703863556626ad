/** The files and directories of the disk in crash-disk.ts: what a process sees beside what is durable. */

import type { Random } from './random.ts'

/** What the medium writes in one piece, in bytes. */
const sectorBytes = 512

type Unsynced =
  | { readonly kind: 'write'; readonly position: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly length: number }

export class FileNode {
  #seen = new Bytes()
  #durable = new Bytes()
  #unsynced: Unsynced[] = []

  /** What a process reads. */
  view(): Buffer {
    return this.#seen.view()
  }

  write(data: Uint8Array, position: number): void {
    // Copied: the writer may use its buffer again.
    this.#apply({ kind: 'write', position, data: Buffer.from(data) })
  }

  truncate(length: number): void {
    this.#apply({ kind: 'truncate', length })
  }

  sync(): void {
    for (const change of this.#unsynced.splice(0)) this.#durable.apply(change)
  }

  /** Some of what was to be synced gets there; the rest never will, although it is still seen. */
  failSync(random: Random): void {
    for (const change of this.#unsynced.splice(0)) if (random(2) === 0) this.#durable.apply(change)
  }

  damage(position: number, mask: number): void {
    this.#seen.flip(position, mask)
    this.#durable.flip(position, mask)
  }

  surviving(survives: 'nothing' | 'some' | 'everything', random: Random): FileNode {
    const after = new FileNode()
    after.#durable = this.#durable.copy()
    // In order, in a random order of sectors, or none: each is what some file system does.
    const style = survives === 'some' ? (['prefix', 'sectors', 'none'] as const)[random(3)] : undefined
    if (survives === 'everything') for (const change of this.#unsynced) after.#durable.apply(change)
    if (style === 'prefix') after.#applyPrefix(this.#unsynced, random)
    if (style === 'sectors') after.#applySectors(this.#unsynced, random)
    after.#seen = after.#durable.copy()
    return after
  }

  #apply(change: Unsynced): void {
    this.#seen.apply(change)
    this.#unsynced.push(change)
  }

  #applyPrefix(changes: readonly Unsynced[], random: Random): void {
    const whole = random(changes.length + 1)
    for (const change of changes.slice(0, whole)) this.#durable.apply(change)
    const torn = changes[whole]
    if (torn?.kind === 'write') {
      this.#durable.apply({ ...torn, data: torn.data.subarray(0, random(torn.data.length + 1)) })
    }
  }

  #applySectors(changes: readonly Unsynced[], random: Random): void {
    for (const change of changes) {
      if (change.kind === 'truncate') {
        if (random(2) === 0) this.#durable.apply(change)
        continue
      }
      const { position, data } = change
      for (let at = 0; at < data.length; ) {
        const end = Math.min(data.length, at + sectorBytes - ((position + at) % sectorBytes))
        if (random(2) === 0) {
          this.#durable.apply({ kind: 'write', position: position + at, data: data.subarray(at, end) })
        }
        at = end
      }
    }
  }
}

export class DirectoryNode {
  readonly names = new Map<string, FileNode | DirectoryNode>()
  readonly durableNames = new Map<string, FileNode | DirectoryNode>()

  surviving(survives: 'nothing' | 'some' | 'everything', random: Random): DirectoryNode {
    const after = new DirectoryNode()
    for (const [name, node] of this.durableNames) {
      const survivor = node.surviving(survives, random)
      after.names.set(name, survivor)
      after.durableNames.set(name, survivor)
    }
    return after
  }
}

/** Bytes that grow; holes are zeros. */
class Bytes {
  #buffer = Buffer.alloc(0)
  #length = 0

  view(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  copy(): Bytes {
    const copy = new Bytes()
    copy.#buffer = Buffer.from(this.view())
    copy.#length = this.#length
    return copy
  }

  apply(change: Unsynced): void {
    if (change.kind === 'truncate') this.#resize(change.length)
    else if (change.data.length > 0) {
      this.#resize(Math.max(this.#length, change.position + change.data.length))
      change.data.copy(this.#buffer, change.position)
    }
  }

  flip(position: number, mask: number): void {
    if (position < this.#length) this.#buffer[position]! ^= mask
  }

  #resize(length: number): void {
    if (length > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(length, 2 * this.#buffer.length))
      this.view().copy(grown)
      this.#buffer = grown
    }
    if (length < this.#length) this.#buffer.fill(0, length, this.#length)
    this.#length = length
  }
}
