/**
 * What was read of a store and still holds, as nothing was written since. A dashboard asks a dozen queries of the same streams at once, and
 * looking those up costs as much as reading a page of lines.
 */

/** All that is remembered of one store, in the unit that its readers give sizes in: streams. */
const maxSize = 20_000

export class Remembered {
  readonly #values = new Map<string, { readonly value: unknown; readonly size: number }>()
  #revision: number | undefined
  #size = 0

  /**
   * @param revision of the store now: grows before anybody is told that something was written; undefined where that is not known, so that
   * all is read anew
   * @param read what the key stands for; called where that is not remembered
   */
  async get<T>(
    key: string,
    revision: () => number | undefined,
    read: () => Promise<T>,
    sizeOf: (value: T) => number,
  ): Promise<T> {
    const before = revision()
    if (before === undefined) return read()
    if (before !== this.#revision) this.#forget(before)
    const known = this.#values.get(key)
    if (known !== undefined) {
      // Behind all others: the first is the one that was asked for longest ago.
      this.#values.delete(key)
      this.#values.set(key, known)
      return known.value as T
    }
    const value = await read()
    // What was written meanwhile may be in it or not.
    if (revision() === before && this.#revision === before) this.#keep(key, value, sizeOf(value))
    return value
  }

  #forget(revision: number): void {
    this.#values.clear()
    this.#size = 0
    this.#revision = revision
  }

  #keep(key: string, value: unknown, size: number): void {
    if (size > maxSize / 4 || this.#values.has(key)) return
    this.#values.set(key, { value, size })
    this.#size += size
    for (const [oldest, { size: freed }] of this.#values) {
      if (this.#size <= maxSize) break
      this.#values.delete(oldest)
      this.#size -= freed
    }
  }
}
