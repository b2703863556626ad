/** Columns whose values come from a dictionary: LowCardinality(String), and the keys of maps. */
import { GrowingBuffer, GrowingWords } from './growing.ts'
import { type Column, initialRows, lengthPrefixed, uint64 } from './native.ts'

/** Dictionary and indexes of LowCardinality(String), as a column or within a map. */
class Dictionary {
  readonly #indexOf = new Map<string, number>([['', 0]])
  readonly #keys = new GrowingBuffer(4096)
  readonly #indexes = new GrowingWords(initialRows)

  constructor() {
    this.#keys.append(lengthPrefixed(''), 0, 1)
  }

  get length(): number {
    return this.#indexes.length
  }
  get byteLength(): number {
    return this.#keys.length + this.#indexes.length
  }

  /** The index of a value in this block. */
  indexOf(value: string): number {
    const known = this.#indexOf.get(value)
    if (known !== undefined) return known
    const index = this.#indexOf.size
    const key = lengthPrefixed(value)
    this.#keys.append(key, 0, key.length)
    this.#indexOf.set(value, index)
    return index
  }

  append(index: number): void {
    this.#indexes.append(index)
  }

  fill(index: number, count: number): void {
    this.#indexes.fill(index, count)
  }

  /** Appends all of `indexes`, `count` times. */
  repeat(indexes: readonly number[], count: number): void {
    if (indexes.length === 1) {
      this.fill(indexes[0]!, count)
      return
    }
    const data = this.#indexes
    data.reserve(indexes.length * count)
    for (let row = 0; row < count; row++) {
      for (let i = 0; i < indexes.length; i++) data.words[data.length++] = indexes[i]!
    }
  }

  /** Everything behind the version. Without values there is nothing. */
  parts(): Buffer[] {
    if (this.length === 0) return []
    const size = this.#indexOf.size
    const width = size <= 0x100 ? 0 : size <= 0x10000 ? 1 : 2
    const head = uint64(width + additionalKeys + updateDictionary, size)
    return [head, this.#keys.view(), uint64(this.length), this.#narrow(width)]
  }

  #narrow(width: number): Buffer {
    const indexes = this.#indexes.words.subarray(0, this.length)
    if (width === 2) return this.#indexes.view()
    const narrow = width === 1 ? new Uint16Array(indexes) : new Uint8Array(indexes)
    return Buffer.from(narrow.buffer)
  }

  reset(): void {
    this.#indexOf.clear()
    this.#indexOf.set('', 0)
    this.#keys.length = 1
    this.#indexes.length = 0
  }
}

/** The keys stand in the block itself, */
const additionalKeys = 1 << 9
/** and replace those of the block before. */
const updateDictionary = 1 << 10
/** Version of the dictionary's serialization, before everything else of the column. */
const dictionaryVersion = uint64(1)

/** LowCardinality(String). */
export class LowCardinalityColumn implements Column {
  readonly name: string
  readonly type = 'LowCardinality(String)'
  readonly #dictionary = new Dictionary()

  constructor(name: string) {
    this.name = name
  }

  /** The index of a value, for {@link append} and {@link fill}; it holds until {@link reset}. */
  indexOf(value: string): number {
    return this.#dictionary.indexOf(value)
  }

  /** The value with this index for one row. */
  append(index: number): void {
    this.#dictionary.append(index)
  }

  /** The value with this index for `count` rows. */
  fill(index: number, count: number): void {
    this.#dictionary.fill(index, count)
  }

  get rows(): number {
    return this.#dictionary.length
  }
  get byteLength(): number {
    return this.#dictionary.byteLength
  }
  parts(): Buffer[] {
    return [dictionaryVersion, ...this.#dictionary.parts()]
  }
  reset(): void {
    this.#dictionary.reset()
  }
}

/** A map whose keys have been looked up in the block's dictionary; it holds until the column's `reset`. */
export interface PreparedMap {
  readonly keys: readonly number[]
  /** All values, each with its length before it. */
  readonly values: Buffer
}

/** Map(LowCardinality(String), String). */
export class MapColumn implements Column {
  readonly name: string
  readonly type = 'Map(LowCardinality(String), String)'
  /** Where each row's pairs end, 64 bits each. */
  readonly #offsets = new GrowingWords(2 * initialRows)
  readonly #keys = new Dictionary()
  readonly #values = new GrowingBuffer(64 * initialRows)
  #end = 0

  constructor(name: string) {
    this.name = name
  }

  /** Keys are sorted, as equality of maps in SQL depends on their order. */
  prepare(map: Readonly<Record<string, string>>): PreparedMap {
    const names = Object.keys(map).sort()
    return {
      keys: names.map((name) => this.#keys.indexOf(name)),
      values: Buffer.concat(names.map((name) => lengthPrefixed(map[name]!))),
    }
  }

  /** The same map for `count` rows. */
  repeat(map: PreparedMap, count: number): void {
    const offsets = this.#offsets
    offsets.reserve(2 * count)
    for (let row = 0; row < count; row++) {
      this.#end += map.keys.length
      offsets.words[offsets.length++] = this.#end
      offsets.words[offsets.length++] = this.#end / 0x100000000
    }
    if (map.keys.length === 0) return
    this.#keys.repeat(map.keys, count)
    this.#values.repeat(map.values, count)
  }

  get rows(): number {
    return this.#offsets.length / 2
  }
  get byteLength(): number {
    return this.#offsets.length * 4 + this.#keys.byteLength + this.#values.length
  }
  parts(): Buffer[] {
    return [dictionaryVersion, this.#offsets.view(), ...this.#keys.parts(), this.#values.view()]
  }
  reset(): void {
    this.#offsets.length = 0
    this.#keys.reset()
    this.#values.length = 0
    this.#end = 0
  }
}
