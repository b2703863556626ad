import { duration, size } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { placeLabels } from '../metadata/config.ts'
import { builtInParsers } from '../parse/names.ts'
import { ExpressionError, parseExpression } from './expression.ts'
import { reservedAttributes } from './record-view.ts'
import { builtInPatterns } from './redact/names.ts'

const where = z.string().superRefine((text, context) => {
  try {
    parseExpression(text)
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
  }
})

/** Stream labels of every container's log: no filter changes them, and metadata of the same name would only stand beside. */
const streamLabels: ReadonlySet<string> = new Set([...placeLabels, 'app', 'service_name'])

/** Of structured metadata and attributes. */
const changedName = z
  .string()
  .min(1)
  .refine((name) => !streamLabels.has(name), {
    error: ({ input }) =>
      `"${input}" is a stream label, and filters do not change these; choose another name, or say it in kubernetes.promote, cluster or node`,
  })

/** Of those that are made. */
const fieldName = changedName
  .regex(/^[A-Za-z_][A-Za-z0-9_./-]{0,127}$/, 'a name has letters, digits and _ . / -, 128 at most, and no digit first')
  .refine((name) => !reservedAttributes.has(name), {
    error: ({ input }) => `"${input}" stands for something else in a record; choose another name`,
  })

/** Expects the text that is not a pattern of RE2 to be refused when the pattern is compiled: the engine is loaded only where it is used. */
const pattern = z.string().min(1, 'a regular expression is expected')
const ruleName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'a name has letters, digits, _ and -, 64 at most')

/** What an entry may say; exactly one. */
const kinds = ['drop', 'keep', 'sample', 'rateLimit', 'redact', 'set', 'rename', 'remove', 'module'] as const
export type FilterKind = (typeof kinds)[number]

const filter = z
  .strictObject({
    name: z.string().min(1).max(64).optional(),
    drop: z.strictObject({ where }).optional(),
    keep: z.strictObject({ where }).optional(),
    sample: z.strictObject({ rate: z.number().min(0).max(1), where: where.optional() }).optional(),
    rateLimit: z
      .strictObject({
        linesPerSecond: z.number().positive(),
        burst: z.int().min(1).optional(),
        where: where.optional(),
      })
      .optional(),
    redact: z
      .strictObject({
        patterns: z.array(z.enum(builtInPatterns)).default([]),
        custom: z.record(ruleName, pattern).default({}),
        replacement: z.string().max(256).default('[redacted:{name}]'),
        maxLineBytes: size.refine((bytes) => bytes >= 1024, 'must be at least 1KiB').prefault('64KiB'),
        maxLineTime: duration.refine((ms) => ms >= 1, 'must be at least 1ms').prefault('100ms'),
      })
      .refine(({ patterns, custom }) => patterns.length > 0 || Object.keys(custom).length > 0, {
        error: `name built-in patterns (${builtInPatterns.join(', ')}) or custom ones; with none nothing is redacted`,
      })
      .optional(),
    set: z.record(fieldName, z.string().max(4096)).optional(),
    rename: z.record(changedName, fieldName).optional(),
    remove: z.array(changedName).min(1).optional(),
    module: z.string().min(1).optional(),
  })
  .superRefine((entry, context) => {
    const given = kinds.filter((kind) => entry[kind] !== undefined)
    if (given.length === 1) return
    const found = given.length === 0 ? 'none' : given.join(' and ')
    context.addIssue({
      code: 'custom',
      message: `has ${found}; a filter has exactly one of ${kinds.join(', ')}, and more make more entries`,
    })
  })

export type FilterConfig = z.output<typeof filter>

/** The section `filters`. */
export const filtersConfig = z
  .array(filter)
  .max(100)
  .default([])
  .describe(
    `What is done with records before they are sent, in order: a list of entries with one of ${kinds.map((kind) => `\`${kind}\``).join(', ')} (docs/filters.md).`,
  )

/** The section `parsers`. */
export const parsersConfig = z
  .record(
    ruleName.refine((name) => name !== 'off' && !builtInParsers.includes(name as never), {
      error: ({ input }) => `"${input}" is built in; choose another name`,
    }),
    z.strictObject({
      regex: pattern.refine((text) => /\(\?P?<[A-Za-z_]/.test(text), {
        error: 'has no named group, so it finds nothing; name what is to become an attribute, as in (?<user>[a-z]+)',
      }),
    }),
  )
  .default({})
  .describe(
    `Parsers of your own, by name, for the annotation tributary.io/parser: \`regex\` (RE2) with named groups, which become attributes. Built in: ${builtInParsers.join(', ')}.`,
  )

export type ParsersConfig = z.output<typeof parsersConfig>
