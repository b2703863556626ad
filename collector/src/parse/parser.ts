/** Takes one field of a line. */
export type TakeField = (name: string, value: string) => void

/** Reads the fields of lines. Pure. */
export interface Parser {
  readonly name: string
  /** Whether the line `bytes[start, end)` is what the parser reads; its fields are handed over in order, even when it is not. */
  parse(bytes: Buffer, start: number, end: number, take: TakeField): boolean
}
