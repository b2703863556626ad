/**
 * What a start does about the damage it finds in one segment: it is set aside, told, and covered with a hole, so that nobody tells it again
 * who reads the segment later.
 */
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'
import { lostOf, type WalEvent } from './event.ts'
import { encodeHole, smallestHead } from './record.ts'
import type { Scanned } from './scan.ts'
import { setAside } from './set-aside.ts'

type Damaged = Extract<Scanned, { kind: 'damaged' }>

export interface DamageReportOptions {
  readonly disk: Disk
  readonly directory: string
  readonly segment: number
  readonly file: DiskFile
  readonly marker: Buffer
  readonly onEvent: (event: WalEvent) => void
}

export class DamageReport {
  readonly #options: DamageReportOptions
  /** Not known to have been confirmed. */
  #unconfirmed: Damaged[] = []
  /** End of the last sound record. */
  #soundEnd = 0
  /** Something was found. */
  any = false

  constructor(options: DamageReportOptions) {
    this.#options = options
  }

  found(damaged: Damaged): void {
    this.any = true
    this.#unconfirmed.push(damaged)
  }

  /** A sound record that ends at `end` came. */
  follow(end: number): void {
    this.#soundEnd = end
  }

  /** All before `upTo` was confirmed once: what is damaged there was sound and is lost. */
  async confirmed(upTo: number): Promise<void> {
    if (this.#unconfirmed.length === 0) return
    const { onEvent, segment } = this.#options
    for (const damaged of this.#unconfirmed.filter(({ start }) => start < upTo)) {
      const { start, end, head } = damaged
      onEvent({ kind: 'corrupt', segment, start, end, ...(await this.#cover(start, end)), ...lostOf(head) })
    }
    this.#unconfirmed = this.#unconfirmed.filter(({ start }) => start >= upTo)
  }

  /** Of the last commit, which a crash cut short, what is damaged is covered, and what follows its last sound record cut off. */
  async cutTail(size: number): Promise<number> {
    const { onEvent, segment, file } = this.#options
    const tail = this.#unconfirmed.find(({ start }) => start >= this.#soundEnd)
    for (const { start, end } of this.#unconfirmed.filter((damaged) => damaged.start < this.#soundEnd)) {
      onEvent({ kind: 'torn_tail', segment, bytes: end - start, ...(await this.#cover(start, end)) })
    }
    if (tail === undefined) return size
    const copy = await this.#setAside(tail.start, size)
    await file.truncate(tail.start)
    onEvent({ kind: 'torn_tail', segment, bytes: size - tail.start, ...copy })
    return tail.start
  }

  /** Makes the holes durable in a segment that is not written to any more; a disk that refuses it leaves the damage to be told again. */
  async settle(): Promise<void> {
    await this.#options.file.sync().catch(() => {})
  }

  async #cover(start: number, end: number): Promise<{ readonly copy?: string }> {
    const { file, marker } = this.#options
    const copy = await this.#setAside(start, end)
    // Damage is what lay between two records: at least one head, unless somebody changed the file by hand.
    // Where the disk refuses the hole, the reader tells the damage again.
    if (end - start >= smallestHead) await file.write(encodeHole(marker, start, end), start).catch(() => {})
    return copy
  }

  async #setAside(start: number, end: number): Promise<{ readonly copy?: string }> {
    const { disk, directory, segment, file } = this.#options
    const copy = await setAside(disk, directory, { segment, start, end }, file)
    return copy === undefined ? {} : { copy }
  }
}
