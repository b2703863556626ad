/** `tributary tap`: shows live what each stage of a collector does to the lines of one pod. */
import type { TapEvent } from '@tributary/collector/filter/taps.ts'
import type { Shown, StageTrace } from '@tributary/collector/filter/trace.ts'
import { ApiClient } from './api-client.ts'
import type { Print } from './query.ts'
import { parseLog } from './why.ts'

export interface TapOptions {
  readonly addr: string
  readonly raw?: boolean
  readonly output: 'text' | 'json'
}

/** Prints records until `signal` is aborted or the collector ends. */
export async function runTap(
  log: string,
  { addr, raw, output }: TapOptions,
  print: Print,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, pod, container } = parseLog(log, 'tap')
  const query = {
    namespace: namespace!,
    pod: pod!,
    ...(container ? { container } : {}),
    ...(raw ? { raw: 'true' } : {}),
  }
  const lines = new ApiClient(addr, 'a collector').lines('/tap', query, signal)
  try {
    for await (const line of lines) {
      if (output === 'json') print(line)
      else for (const row of formatEvent(JSON.parse(line) as TapEvent)) print(row)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

const marks = { unchanged: ' ', changed: '~', dropped: 'x' } as const

/** One record: as it was read, what the stages did that did something, and what is sent. */
export function formatEvent({ stream, trace, skipped }: TapEvent): string[] {
  const container = stream.labels['container'] ?? ''
  const time = new Date(trace.time).toISOString().slice(11, 23)
  const stages = trace.stages.flatMap((stage) => [`  ${marks[stage.outcome]} ${stage.stage}`, ...formatStage(stage)])
  const sent = trace.after === undefined ? [] : ['  > sent', ...formatShown(trace.after)]
  return [
    ...(skipped > 0 ? [`… ${skipped} records not shown: they come too fast`] : []),
    `${time} ${container} ${trace.stream} at ${trace.offset}`,
    ...formatShown(trace.before),
    ...stages,
    ...(trace.stages.length === 0 ? ['  > sent as it is'] : sent),
  ]
}

function formatStage({ reason, after }: StageTrace): string[] {
  if (reason !== undefined) return [`      left out: ${reason}`]
  return after === undefined ? [] : formatShown(after)
}

function formatShown({ line, attributes }: Shown): string[] {
  const lines = line.split('\n').map((row) => `      ${row}`)
  const pairs = Object.entries(attributes).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  return pairs.length === 0 ? lines : [...lines, `      {${pairs.join(' ')}}`]
}
