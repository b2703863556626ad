/**
 * What a detector is shown of a line that the runtime wrote in parts: its beginning. Most runtimes cut lines at 16 KiB, so that the first part
 * tells; cri-o cuts them anywhere, and a first part such as `java.lang.Ille` tells nothing.
 */
import type { Pending } from './pending.ts'

/** A first part of this many bytes tells what the line is: detectors look at beginnings. */
const tellingBytes = 1024
/** Where the first part is shorter, this much of the line is put together to tell, bytes: as much as runtimes write in one part. */
const headBytes = 16 * 1024

/** Whether a first part of so many bytes tells what its line is. */
export const tells = (length: number): boolean => length >= tellingBytes

export class LineHead {
  /** Made when there is a line whose first part is too short. */
  #bytes: Buffer | undefined

  /** Of a line whose parts are all there, the bytes from a start to an end: its first part, or as much as tells. Valid until the next call. */
  of({ parts, length }: Pending, arena: Buffer): [bytes: Buffer, start: number, end: number] {
    const [start, end] = parts as [number, number]
    if (tells(end - start) || end - start === length) return [arena, start, end]
    this.#bytes ??= Buffer.allocUnsafe(headBytes)
    let filled = 0
    for (let i = 0; i < parts.length && filled < headBytes; i += 2)
      filled += arena.copy(this.#bytes, filled, parts[i]!, parts[i + 1]!)
    return [this.#bytes, 0, filled]
  }
}
