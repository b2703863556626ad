/** `tributary generate`. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
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
  makeDirectory(resolve(flags.out))
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

/**
 * Makes a directory and those above it, one by one: asked to make all at once where the file system has no such names, as in /proc, Node tries for
 * ever. Throws with what is wrong.
 */
export function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  if (dirname(path) !== path) makeDirectory(dirname(path))
  try {
    mkdirSync(path)
  } catch (error) {
    throw new Error(`--out: the directory ${path} can't be made (${(error as Error).message}); choose another one`)
  }
}
