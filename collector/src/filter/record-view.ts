import { decodeAttributes, type RecordScanner, type StreamName, stdout } from '@tributary/protocol/records.ts'

/**
 * The record that is being filtered. One for all records, one after another: nobody keeps it. The line lies in a buffer that is not
 * written to: a changed line is put elsewhere.
 */
export class RecordView {
  seconds = 0
  nanoseconds = 0
  /** Position in the source, bytes. */
  offset = 0
  stream: StreamName = stdout
  flags = 0
  /** Where the line is. */
  bytes: Buffer = Buffer.alloc(0)
  lineStart = 0
  lineEnd = 0
  lineChanged = false
  attributesChanged = false
  /** Undefined while there are none, or nobody asked for those it came with. */
  #attributes: Map<string, string> | undefined
  #cameWith: { chunk: Buffer; start: number; end: number } | undefined

  /** Takes the scanner's record, which lies in `chunk`. */
  take(chunk: Buffer, scanner: RecordScanner): void {
    this.seconds = scanner.seconds
    this.nanoseconds = scanner.nanoseconds
    this.offset = scanner.offset
    this.stream = scanner.stream
    this.flags = scanner.flags
    this.bytes = chunk
    this.lineStart = scanner.lineStart
    this.lineEnd = scanner.lineEnd
    this.lineChanged = this.attributesChanged = false
    this.#attributes = undefined
    this.#cameWith =
      scanner.attributeCount === 0 ? undefined : { chunk, start: scanner.attributesStart, end: scanner.attributesEnd }
  }

  get changed(): boolean {
    return this.lineChanged || this.attributesChanged
  }

  get hasAttributes(): boolean {
    return this.#cameWith !== undefined || (this.#attributes !== undefined && this.#attributes.size > 0)
  }

  /** Its attributes by name, to look at. */
  get attributes(): ReadonlyMap<string, string> {
    return this.#own()
  }

  attribute(name: string): string | undefined {
    return this.hasAttributes ? this.#own().get(name) : undefined
  }

  setAttribute(name: string, value: string): void {
    this.#own().set(name, value)
    this.attributesChanged = true
  }

  /** Takes the map over. */
  addAttributes(attributes: Map<string, string>): void {
    if (attributes.size === 0) return
    if (this.hasAttributes) for (const [name, value] of attributes) this.#own().set(name, value)
    else this.#attributes = attributes
    this.attributesChanged = true
  }

  removeAttribute(name: string): void {
    if (this.hasAttributes && this.#own().delete(name)) this.attributesChanged = true
  }

  replaceLine(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.lineStart = start
    this.lineEnd = end
    this.lineChanged = true
  }

  #own(): Map<string, string> {
    if (this.#cameWith !== undefined) {
      const { chunk, start, end } = this.#cameWith
      this.#attributes = new Map(Object.entries(decodeAttributes(chunk, start, end)))
      this.#cameWith = undefined
    }
    this.#attributes ??= new Map()
    return this.#attributes
  }
}

/** Names that stand for something else in an encoded record, and so can't be attributes. */
export const reservedAttributes: ReadonlySet<string> = new Set(['offset', 'log', 'stream', 'truncated', 'malformed'])
