/** What the targets of all subjects share. */
import type fc from 'fast-check'
import type { Target } from '../fuzz.ts'

/** Most that a decoder may make of its input. */
export const maxBytes = 1 << 20
/** A place in the write-ahead log. */
export const start = { segment: 1, offset: 0 }

/** A push as it stands in the write-ahead log. */
export const push = [
  {
    name: '{a="b"}',
    labels: { a: 'b', c: 'd' },
    entries: [
      { seconds: 5, nanoseconds: 6, line: Buffer.from('line'), metadata: { trace_id: 'x' } },
      { seconds: -1, nanoseconds: 0, line: Buffer.alloc(0), metadata: undefined },
    ],
  },
]

/** A target that is right about the type of its input. */
export function target<Input>(
  name: string,
  input: fc.Arbitrary<Input>,
  errors: Target['errors'],
  run: (input: Input) => unknown,
): Target {
  return { name, input, errors, run } as Target
}
