/** `tributary generate`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatSize } from '@tributary/protocol/units.ts'
import { type GenerateOptions, generate, generateDefaults } from './generate.ts'
import { encodeTruth, totals } from './truth.ts'

export interface GenerateFlags
  extends Pick<
      GenerateOptions,
      'out' | 'containers' | 'rate' | 'seed' | 'namespace' | 'format' | 'lineBytes' | 'pieceBytes'
    >,
    Pick<GenerateOptions, 'rotation' | 'rotateBytes'> {
  /** Milliseconds. */
  readonly duration: number
  readonly gap: number
  readonly lines?: number
  readonly keep?: number
  readonly stderr: number
  readonly partial: number
  readonly summary?: string
}

/** Writes until the flags or the signal say so, then the summary: where which record lies. */
export async function runGenerate(
  flags: GenerateFlags,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { duration, gap, lines, keep, stderr, partial, summary = join(flags.out, 'summary.json'), ...same } = flags
  const truth = await generate(
    {
      ...generateDefaults,
      ...same,
      durationMs: duration,
      gapMs: gap,
      stderrPercent: stderr,
      partialPercent: partial,
      ...(lines === undefined ? {} : { maxLines: lines }),
      ...(keep === undefined ? {} : { keep }),
    },
    signal,
  )
  writeFileSync(summary, encodeTruth(truth))
  const sum = totals(truth)
  const rate = Math.round(sum.lines / truth.seconds)
  print(
    `${sum.lines} lines, ${formatSize(sum.bytes)}, ${sum.generations} generations in ${truth.seconds.toFixed(1)} s (${rate} lines/s); what lies where: ${summary}`,
  )
}
