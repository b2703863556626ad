/** One thing that is said about a log. Pure. */

/** `problem`: lines are lost or stand still, or nothing was found. `notice`: worth knowing, and mends itself or was asked for. */
export type Level = 'fine' | 'notice' | 'problem'

export interface Finding {
  readonly level: Level
  /** What kind of finding it is, for programs. */
  readonly code: string
  readonly text: string
}

export const fine = (code: string, text: string): Finding => ({ level: 'fine', code, text })
export const notice = (code: string, text: string): Finding => ({ level: 'notice', code, text })
export const problem = (code: string, text: string): Finding => ({ level: 'problem', code, text })

/** A time span for people. */
export function ago(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return `${Math.round(ms / 3_600_000)} h`
}
