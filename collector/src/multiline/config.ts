import { wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'

export const languages = ['java', 'python', 'go', 'node', 'dotnet', 'ruby', 'php'] as const

/** What the annotation tributary.io/multiline may say without a pattern of that name. */
const builtIn: readonly string[] = [...languages, 'auto', 'off']

/** The section `multiline` of the collector's configuration. */
export const multilineConfig = z
  .strictObject({
    languages: z
      .array(z.enum(languages))
      .default([...languages])
      .describe('Languages whose stack traces become one record each. Empty: none.'),
    patterns: z
      .record(
        z
          .string()
          .min(1)
          .refine((name) => !builtIn.includes(name), {
            error: ({ input }) => `"${input}" is built in; choose another name`,
          }),
        z.strictObject({ start: z.string().min(1) }),
      )
      .default({})
      .describe(
        'By name, for the annotation tributary.io/multiline: a line that matches `start` (RE2) begins a record, all others go on with it.',
      ),
    maxLines: z
      .int()
      .min(2)
      .default(1000)
      .describe('Lines of one record. What is longer becomes several records, each flagged `truncated`.'),
    timeout: wait.prefault('1s').describe('How long the last lines of what may be a stack trace wait for more.'),
  })
  .prefault({})

export type MultilineConfig = z.output<typeof multilineConfig>
