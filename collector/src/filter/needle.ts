/**
 * Finds some bytes within lines of one chunk. The chunk is searched from hit to hit, not line by line: a line without the bytes costs
 * one comparison.
 */
export class Needle {
  readonly length: number
  readonly #wanted: Buffer | number
  #chunk: Buffer | undefined
  /** The first hit at or behind `#from` in the chunk; infinite when there is none. */
  #from = 0
  #hit = 0

  constructor(text: string | Buffer) {
    const bytes = Buffer.from(text as string)
    this.length = bytes.length
    this.#wanted = bytes.length === 1 ? bytes[0]! : bytes
  }

  /** To be called before `find` whenever other bytes are in the buffer that is searched. */
  begin(chunk: Buffer): void {
    this.#chunk = chunk
    this.#from = this.#hit = -1
  }

  /** Position of the first hit in `bytes[start, end)`, or -1. */
  find(bytes: Buffer, start: number, end: number): number {
    if (bytes !== this.#chunk) {
      const hit = bytes.subarray(start, end).indexOf(this.#wanted)
      return hit === -1 ? -1 : start + hit
    }
    const hit = this.next(start)
    return hit + this.length <= end ? hit : -1
  }

  /** Position of the first hit at or behind `start` in the chunk, whichever line it is in; beyond all lines when there is none. */
  next(start: number): number {
    if (this.#hit < start || this.#from > start) {
      const hit = this.#chunk!.indexOf(this.#wanted, start)
      this.#from = start
      this.#hit = hit === -1 ? Number.MAX_SAFE_INTEGER : hit
    }
    return this.#hit
  }
}
