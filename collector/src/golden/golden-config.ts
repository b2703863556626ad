/** The file of `tributary test`: lines that containers write, and the records that shall come of them (docs/testing-configuration.md). */
import { z } from 'zod'

const texts = z.record(z.string().min(1), z.string())

const expectation = z
  .strictObject({
    line: z.string().optional().describe('The line, as it is sent.'),
    attributes: texts.optional().describe("All of the record's own structured metadata. Default: any."),
    metadata: z.record(z.string().min(1), z.string().nullable()).optional(),
    labels: z.record(z.string().min(1), z.string().nullable()).optional(),
    dropped: z.union([z.literal(true), z.string().min(1)]).optional(),
  })
  .refine(({ dropped, ...kept }) => Object.values({ ...kept, dropped }).some((value) => value !== undefined), {
    error: 'expects nothing; write line, attributes, metadata, labels or dropped',
  })
  .refine(
    ({ dropped, ...kept }) => dropped === undefined || Object.values(kept).every((value) => value === undefined),
    {
      error: 'a record that is dropped has no line, attributes, metadata or labels',
    },
  )

export type Expectation = z.output<typeof expectation>

const goldenCase = z.strictObject({
  name: z.string().min(1),
  namespace: z.string().min(1).default('default'),
  pod: z.string().min(1).default('pod'),
  container: z.string().min(1).default('container'),
  labels: texts.default({}),
  annotations: texts.default({}),
  stream: z.enum(['stdout', 'stderr']).default('stdout'),
  input: z.union([z.string(), z.array(z.string()).min(1)], 'write a line or a list of lines'),
  expect: z.union([z.literal('dropped'), expectation, z.array(z.union([z.literal('dropped'), expectation]))], {
    error: 'write dropped, or a record with line, attributes, metadata, labels or dropped, or a list of these',
  }),
})

export type GoldenCase = z.output<typeof goldenCase>

export const goldenConfig = z.strictObject({
  config: z.string().min(1),
  cases: z.array(goldenCase).min(1),
})

export type GoldenConfig = z.output<typeof goldenConfig>

/** One for each record. */
export function expectationsOf({ expect }: GoldenCase): Expectation[] {
  return (Array.isArray(expect) ? expect : [expect]).map((one) => (one === 'dropped' ? { dropped: true } : one))
}

/** Without line feeds. The last one of a YAML block ends its last line. */
export function linesOf({ input }: GoldenCase): string[] {
  const lines = typeof input === 'string' ? [input] : input
  return lines.flatMap((text) => text.replace(/\n$/, '').split('\n'))
}
