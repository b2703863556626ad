/** What the configuration says about how long rows are kept, and how full their volume may become. */
import { duration, parseSize } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { tenantName } from '../access/config.ts'
import { LogqlError } from '../logql/error.ts'
import type { DiskAmount } from './disk-guard.ts'
import { matchersOf } from './policy.ts'

const selector = z.string().superRefine((text, context) => {
  try {
    matchersOf(text)
  } catch (error) {
    if (!(error instanceof LogqlError)) throw error
    context.addIssue({ code: 'custom', message: `is no selector: ${error.message}` })
  }
})

const diskAmount = z.union([z.string(), z.number()]).transform((value, context): DiskAmount => {
  const percent = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*%$/.exec(value.trim())?.[1] : undefined
  if (percent !== undefined && Number(percent) <= 100) return { percent: Number(percent) }
  const bytes = typeof value === 'number' ? value : parseSize(value)
  if (bytes !== undefined && bytes >= 0) return { bytes }
  context.addIssue({
    code: 'custom',
    message: `"${value}" is neither a part of the volume nor a size: write 10% or a number and a unit, such as 5GiB`,
  })
  return z.NEVER
})

export const retentionConfig = {
  retention: duration
    .prefault('7d')
    .describe(
      'How long rows are kept that no rule is about; whole days (UTC) are dropped when all of them is older. `0` keeps them for ever.',
    ),
  retentionRules: z
    .array(
      z.strictObject({
        selector: selector
          .default('{}')
          .describe('Streams whose rows the rule is about, as in LogQL: `{namespace="dev"}`. Default: all.'),
        tenant: tenantName.optional().describe('Tenant whose rows it is about. Default: all tenants.'),
        keep: duration.describe(
          'How long these rows are kept, shorter or longer than `store.retention`, such as 6h or 90d. `0` keeps them for ever.',
        ),
      }),
    )
    .default([])
    .describe(
      'Streams whose rows are kept for another time than `store.retention`. The first rule about a row decides.',
    ),
  minFreeDisk: diskAmount
    .prefault('5%')
    .describe(
      'What stays free on the volume of the embedded store, as a size or a part of the volume. Below it the oldest days are dropped, but for the newest. `0` turns it off.',
    ),
  maxDiskUsage: diskAmount
    .optional()
    .describe(
      'Most disk that the rows of the embedded store may take, as a size or a part of the volume. Beyond it the oldest days are dropped, but for the newest. Default, and `0`: no limit but `minFreeDisk`.',
    ),
}
