/** Rows of `logs` in ClickHouse's RowBinary: fixed numbers little-endian, texts and maps with their length before them as a varint. */

export interface RowColumns {
  /** A Float64 behind the time: the bucket of a window. */
  readonly bucket: boolean
  /** `source` and `offset`, behind the bucket. */
  readonly place?: boolean
  /** `level` and `meta` at the end. */
  readonly metadata: boolean
}

/** One row, used again for each: valid during the call. */
export class DecodedRow {
  id = ''
  bucket = 0
  level = ''
  meta: ReadonlyMap<string, string> = noMetadata
  /** The line is `[lineStart, lineEnd)` of it. */
  bytes: Buffer = Buffer.alloc(0)
  lineStart = 0
  lineEnd = 0
  timeAt = 0
  placeAt = 0

  /** 16 bytes, a view. */
  get source(): Buffer {
    return this.bytes.subarray(this.placeAt, this.placeAt + 16)
  }

  /** Exact: files are not longer than numbers are. */
  get offset(): number {
    return Number(this.bytes.readBigUInt64LE(this.placeAt + 16))
  }

  /** Compares like (source, offset). */
  get place(): string {
    return this.source.toString('latin1') + String(this.offset).padStart(16, '0')
  }

  /** Nanoseconds since 1970. */
  get time(): bigint {
    return this.bytes.readBigInt64LE(this.timeAt)
  }
}

const noMetadata: ReadonlyMap<string, string> = new Map()
const maxKnown = 5000

export class RowDecoder {
  readonly #columns: RowColumns
  readonly #row = new DecodedRow()
  #rest: Buffer = Buffer.alloc(0)
  #at = 0
  /** Bytes of the last id and metadata: runs of rows have the same. */
  #lastId: Buffer = Buffer.alloc(0)
  /** Level and metadata as they came. */
  #lastMetadata: Buffer = Buffer.alloc(0)
  readonly #known = new Map<string, ReadonlyMap<string, string>>()

  constructor(columns: RowColumns) {
    this.#columns = columns
  }

  /** Bytes that no whole row was in. */
  get pending(): number {
    return this.#rest.length
  }

  /** Calls `visit` with each row that is whole now, until it returns false; returns whether it never did. */
  decode(piece: Buffer, visit: (row: DecodedRow) => boolean): boolean {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    this.#row.bytes = bytes
    let at = 0
    while (at < bytes.length) {
      const end = this.#read(bytes, at)
      if (end === -1) break
      at = end
      if (!visit(this.#row)) return false
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at))
    return true
  }

  /** Reads the row at `at`; returns its end, or -1 when it is not whole. */
  #read(bytes: Buffer, start: number): number {
    const row = this.#row
    const size = bytes.length
    this.#at = start
    const idLength = this.#varint(bytes)
    if (idLength === -1 || this.#at + idLength + 8 > size) return -1
    this.#readId(bytes, this.#at, this.#at + idLength)
    row.timeAt = this.#at + idLength
    let at = row.timeAt + 8
    if (this.#columns.bucket) {
      if (at + 8 > size) return -1
      row.bucket = bytes.readDoubleLE(at)
      at += 8
    }
    if (this.#columns.place) {
      if (at + 24 > size) return -1
      row.placeAt = at
      at += 24
    }
    this.#at = at
    const lineLength = this.#varint(bytes)
    if (lineLength === -1 || this.#at + lineLength > size) return -1
    row.lineStart = this.#at
    row.lineEnd = this.#at + lineLength
    this.#at = row.lineEnd
    if (this.#columns.metadata && !this.#readMetadata(bytes)) return -1
    return this.#at
  }

  #readId(bytes: Buffer, start: number, end: number): void {
    if (this.#lastId.length === end - start && beginsWith(bytes, start, this.#lastId)) return
    this.#lastId = Buffer.from(bytes.subarray(start, end))
    this.#row.id = this.#lastId.toString()
  }

  #readMetadata(bytes: Buffer): boolean {
    const row = this.#row
    const begin = this.#at
    const last = this.#lastMetadata
    // Where they end stands in the bytes themselves, so that what begins like them is them.
    if (last.length > 0 && beginsWith(bytes, begin, last)) {
      this.#at = begin + last.length
      return true
    }
    const levelLength = this.#varint(bytes)
    if (levelLength === -1 || this.#at + levelLength > bytes.length) return false
    row.level = levelLength === 0 ? '' : bytes.toString('latin1', this.#at, this.#at + levelLength)
    this.#at += levelLength
    const pairs = this.#varint(bytes)
    if (pairs === -1) return false
    const start = this.#at
    for (let i = 0; i < pairs * 2; i++) {
      const length = this.#varint(bytes)
      if (length === -1 || this.#at + length > bytes.length) return false
      this.#at += length
    }
    row.meta = pairs === 0 ? noMetadata : this.#metadata(bytes, start, this.#at, pairs)
    this.#lastMetadata = Buffer.from(bytes.subarray(begin, this.#at))
    return true
  }

  /** Equal bytes give the same map. */
  #metadata(bytes: Buffer, start: number, end: number, pairs: number): ReadonlyMap<string, string> {
    const key = bytes.toString('latin1', start, end)
    const known = this.#known.get(key)
    if (known) return known
    const meta = new Map<string, string>()
    this.#at = start
    for (let i = 0; i < pairs; i++) meta.set(this.#text(bytes), this.#text(bytes))
    if (this.#known.size >= maxKnown) this.#known.clear()
    this.#known.set(key, meta)
    return meta
  }

  #text(bytes: Buffer): string {
    const length = this.#varint(bytes)
    const text = bytes.toString('utf8', this.#at, this.#at + length)
    this.#at += length
    return text
  }

  /** Moves behind the number; -1 when it is not whole. */
  #varint(bytes: Buffer): number {
    let value = 0
    let factor = 1
    for (let at = this.#at; at < bytes.length; at++) {
      const byte = bytes[at]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        this.#at = at + 1
        return value
      }
      factor *= 128
    }
    return -1
  }
}

/** Up to this many bytes a loop is faster than the call that compares them. */
const shortBytes = 40

function beginsWith(bytes: Buffer, at: number, wanted: Buffer): boolean {
  const { length } = wanted
  if (at + length > bytes.length) return false
  if (length > shortBytes) return bytes.compare(wanted, 0, length, at, at + length) === 0
  for (let i = 0; i < length; i++) if (bytes[at + i] !== wanted[i]) return false
  return true
}
