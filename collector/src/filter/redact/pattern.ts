/** Finds secrets of one kind. */
export interface SecretPattern {
  readonly name: string
  /** To be called before the records of each chunk. */
  begin(chunk: Buffer): void
  /** Before this position no line of the chunk that begins at or behind `start` has a secret; absent where nobody knows. */
  next?(start: number): number
  /**
   * Hands over where `bytes[start, end)` has secrets, ascending, and returns how far it was examined: to the end, unless there was not the
   * time. Costs next to nothing where there are none.
   */
  find(bytes: Buffer, start: number, end: number, found: Found): number
}

export type Found = (from: number, to: number) => void

/** By byte: what may stand in a token of one kind. */
export function byteClass(characters: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, c) => Number(characters.test(String.fromCharCode(c))))
}

/** Position behind the run of bytes of a class that begins at `at`. */
export function behindRun(bytes: Buffer, at: number, end: number, of: Uint8Array): number {
  let p = at
  while (p < end && of[bytes[p]!] === 1) p++
  return p
}
