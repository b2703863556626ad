import type { FilterReason, LeftOut } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'

/**
 * Adds up the bytes of the records of a chunk that are left out. A record's bytes reach from its offset to the next offset in the chunk,
 * those of the last to the end of the range.
 */
export class LeftOutBytes {
  #offsets = new Float64Array(1024)
  #reasons: (FilterReason | undefined)[] = []
  #count = 0
  #any = false
  #ascending = true

  begin(): void {
    this.#count = 0
    this.#any = false
    this.#ascending = true
  }

  /** @param reason undefined when it is kept */
  add(offset: number, reason: FilterReason | undefined): void {
    if (this.#count === this.#offsets.length) this.#grow()
    if (this.#count > 0 && offset < this.#offsets[this.#count - 1]!) this.#ascending = false
    this.#offsets[this.#count] = offset
    this.#reasons[this.#count++] = reason
    if (reason !== undefined) this.#any = true
  }

  /** Undefined when nothing was left out. */
  of([, end]: ByteRange): LeftOut | undefined {
    if (!this.#any) return undefined
    const offsets = this.#offsets
    const order = this.#ascending ? undefined : this.#byOffset()
    const bytes: Partial<Record<FilterReason, number>> = {}
    for (let i = 0; i < this.#count; i++) {
      const at = order === undefined ? i : order[i]!
      const reason = this.#reasons[at]
      if (reason === undefined) continue
      const after = i + 1 === this.#count ? end : offsets[order === undefined ? i + 1 : order[i + 1]!]!
      bytes[reason] = (bytes[reason] ?? 0) + after - offsets[at]!
    }
    return bytes
  }

  /** Records of two streams interleave: one that waited for its last part comes behind those that began after it. */
  #byOffset(): Uint32Array {
    const order = Uint32Array.from({ length: this.#count }, (_, i) => i)
    return order.sort((a, b) => this.#offsets[a]! - this.#offsets[b]! || a - b)
  }

  #grow(): void {
    const larger = new Float64Array(this.#offsets.length * 2)
    larger.set(this.#offsets)
    this.#offsets = larger
  }
}
