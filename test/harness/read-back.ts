/** Reads everything back through the query API, as people and Grafana would, and judges it. */
import { totalBytes } from '@tributary/protocol/ranges.ts'
import { sourceOf, type Truth } from 'tributary/generate/truth.ts'
import { type AccountedSource, lostRecords, Oracle, type Verdict } from './oracle.ts'
import { cluster, node, type Pipeline, until } from './processes.ts'

/** Whose API is asked. */
export type Asked = Pick<Pipeline, 'url' | 'ready'> & { readonly aggregator: { readonly output: string } }

interface QueryAnswer {
  readonly data: { readonly result: readonly { readonly values: readonly (readonly [string, string])[] }[] }
}

export interface AuditAnswer {
  readonly sources: readonly (AccountedSource & { readonly problems: readonly string[]; readonly path: string })[]
  readonly totals: Readonly<
    Record<'seenBytes' | 'storedBytes' | 'filteredBytes' | 'lostBytes' | 'missingBytes', number>
  >
  readonly caughtUp: boolean
  readonly ok: boolean
}

const pageSize = 5000
const day = 86_400_000_000_000n

/** All lines of a selector, oldest first, page by page. */
export async function* readLines(url: string, selector: string): AsyncGenerator<readonly [string, string]> {
  const now = BigInt(Date.now()) * 1_000_000n
  let start = now - day
  for (;;) {
    const parameters = {
      query: selector,
      start: `${start}`,
      end: `${now + day}`,
      limit: `${pageSize}`,
      direction: 'forward',
    }
    const response = await fetch(`${url}/loki/api/v1/query_range?${new URLSearchParams(parameters)}`)
    if (!response.ok) throw new Error(`${selector}: ${response.status} ${await response.text()}`)
    const { data } = (await response.json()) as QueryAnswer
    const page = data.result.flatMap(({ values }) => values)
    for (const { values } of data.result) expectAscending(selector, values)
    // The times of a container's lines never repeat: the streams can be merged by them, and a page ends between two.
    if (data.result.length > 1) page.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    yield* page
    if (page.length < pageSize) return
    start = BigInt(page.at(-1)![0]) + 1n
  }
}

function expectAscending(selector: string, values: readonly (readonly [string, string])[]): void {
  const wrong = values.findIndex(([time], i) => i > 0 && time < values[i - 1]![0])
  if (wrong !== -1) throw new Error(`${selector}: ${values[wrong]![0]} is answered after ${values[wrong - 1]![0]}`)
}

/** Queries under way at a time: enough to keep both aggregator and engine busy. */
const queriesAtATime = 3

/** Every container's lines, compared with what was generated. Lines that the audit reports as lost must be missing, and no others. */
export async function judge(pipeline: Asked, truth: Truth, audit: AuditAnswer): Promise<Verdict> {
  const oracle = new Oracle(truth)
  const waiting = [...truth.containers]
  const readNext = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { container, namespace, pod, name } = next
      const selector = `{namespace="${namespace}", pod="${pod}", container="${name}"}`
      for await (const [timestamp, line] of readLines(pipeline.url, selector))
        oracle.add(container, { timestamp, line })
    }
  }
  await Promise.all(Array.from({ length: queriesAtATime }, readNext))
  const { lost } = lostRecords(truth, { cluster, node }, audit.sources)
  return oracle.verdict(lost)
}

/** Undefined while the store does not answer. */
async function tryAudit(pipeline: Asked, wait: string): Promise<AuditAnswer | undefined> {
  const response = await fetch(`${pipeline.url}/api/v1/audit?wait=${wait}`)
  if (response.status === 503) return undefined
  if (!response.ok) throw new Error(`audit: ${response.status} ${await response.text()}`)
  return (await response.json()) as AuditAnswer
}

/**
 * Waits until every byte that was generated is accounted for, and what is accepted is stored. Gives up quietly at the deadline: what is
 * missing then is for the comparison to say.
 */
export async function settle(pipeline: Asked, truths: readonly Truth[], deadlineMs: number): Promise<AuditAnswer> {
  const expected = new Map<string, number>()
  for (const container of truths.flatMap(({ containers }) => containers)) {
    for (const generation of container.generations) {
      if (generation.bytes > 0)
        expected.set(sourceOf(container, generation, { cluster, node }).toString('hex'), generation.bytes)
    }
  }
  const accounted = async () => {
    const audit = await tryAudit(pipeline, '0s')
    const bytes = new Map(audit?.sources.map((one) => [one.source, accountedBytes(one)]))
    return [...expected].every(([source, size]) => bytes.get(source) === size)
  }
  await pipeline.ready(deadlineMs)
  await until(accounted, deadlineMs, () => 'not everything is accounted for', 300).catch(() => undefined)
  let audit: AuditAnswer | undefined
  const answered = async () => (audit = await tryAudit(pipeline, '30s')) !== undefined
  await until(answered, 60_000, () => `the store does not answer:\n${pipeline.aggregator.output}`)
  return audit!
}

function accountedBytes({ stored, filtered, lost }: AccountedSource): number {
  return totalBytes([...stored, ...filtered.flatMap(({ ranges }) => ranges), ...lost.flatMap(({ ranges }) => ranges)])
}
