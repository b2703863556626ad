/** An aggregator alone, as senders of others see it. */
import { Pipeline, type PipelineOptions, until } from './processes.ts'

/** It runs and answers queries; no collector does. */
export async function startAggregator(aggregator: PipelineOptions['aggregator'] = {}): Promise<Pipeline> {
  const pipeline = await Pipeline.create({ aggregator })
  try {
    pipeline.aggregator.start()
    await pipeline.ready()
    return pipeline
  } catch (error) {
    await pipeline[Symbol.asyncDispose]()
    throw error
  }
}

export interface ReadStream {
  /** Stream labels, and structured metadata, as the API gives them together. */
  readonly stream: Readonly<Record<string, string>>
  readonly values: readonly (readonly [time: string, line: string])[]
}

/** What a selector finds of the last day and the next, oldest first. Empty while the store does not answer. */
export async function query({ url }: Pick<Pipeline, 'url'>, selector: string, limit = 5000): Promise<ReadStream[]> {
  const hour = 3_600_000
  const parameters = new URLSearchParams({
    query: selector,
    start: `${(Date.now() - 24 * hour) / 1000}`,
    end: `${(Date.now() + 24 * hour) / 1000}`,
    limit: String(limit),
    direction: 'forward',
  })
  const response = await fetch(`${url}/loki/api/v1/query_range?${parameters}`).catch(() => undefined)
  if (response === undefined || response.status === 503) return []
  if (!response.ok) throw new Error(`${selector}: ${response.status} ${await response.text()}`)
  return ((await response.json()) as { data: { result: ReadStream[] } }).data.result
}

export const linesOf = (streams: readonly ReadStream[]): string[] =>
  streams.flatMap(({ values }) => values.map(([, line]) => line))

/** {@link query}, once it finds so many lines; `context` says more in the message of when it does not. */
export async function received(
  pipeline: Pick<Pipeline, 'url'>,
  selector: string,
  count: number,
  context: () => string = () => '',
): Promise<ReadStream[]> {
  let streams: ReadStream[] = []
  const enough = async () => linesOf((streams = await query(pipeline, selector))).length >= count
  await until(enough, 30_000, () => `${selector}: ${JSON.stringify(streams)}\n${context()}`, 200)
  return streams
}
