/** One language's stack traces. The states are the language's own, 1 to 15; see {@link RecordDetector} for the rest. */
export interface LanguageDetector {
  /** First bytes of a line that may be the second of a trace; '' among them stands for an empty line. */
  readonly second: readonly string[]
  /** The state behind a first line, when its beginning or its end shows that it is one; else 0. */
  begin(bytes: Buffer, start: number, end: number): number
  /** Letters that stand before a colon within such lines. All languages are looked for in one pass over the colons of a line. */
  readonly beforeColon: string
  /** The state behind a first line, when its colon at `at`, behind one of those letters, shows that it is one; else 0. */
  beginAtColon(bytes: Buffer, start: number, at: number, end: number): number
  next(state: number, bytes: Buffer, start: number, end: number): number
}
