/**
 * Tells which lines of one stream belong to one record: the lines of a stack trace, or all up to the next that looks like a beginning.
 * The cutter asks about bytes in place, and keeps the answer, a small positive integer, as the state of the record; 0 is no.
 */
export interface RecordDetector {
  /**
   * By a line's first byte, 256 for an empty line: 1 when such a line may be the second of a record. One look-up that spares most
   * lines everything else.
   */
  readonly mayContinue: Uint8Array
  /** Whether the line `bytes[start, end)` may be the first of several: the state behind it, or 0. */
  begin(bytes: Buffer, start: number, end: number): number
  /** The state behind a line that goes on with the record, or 0 when it belongs to another. */
  next(state: number, bytes: Buffer, start: number, end: number): number
}
