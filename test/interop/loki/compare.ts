/** Whether two answers say the same. */
import { tenant } from './server.ts'

export interface Request {
  /** What it is called in the table of differences. */
  readonly name: string
  readonly path: string
  readonly parameters?: Readonly<Record<string, string>> | readonly (readonly [string, string])[]
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array<ArrayBuffer>
  /** The order of series or streams is part of the answer. */
  readonly ordered?: boolean
  /** It has a method that the path does not have. Loki says 404 or 405, as its routes happen to lie: one is as good as the other. */
  readonly otherMethod?: boolean
}

export interface Answer {
  readonly status: number
  readonly type: string | null
  /** Of JSON, what it says, in a form that is equal where it is. */
  readonly body: string
}

export async function ask(url: string, request: Request): Promise<Answer> {
  const { path, parameters = {}, method = 'GET', headers = {}, body } = request
  const text = String(new URLSearchParams(parameters as Record<string, string>))
  const send = () =>
    fetch(`${url}${path}${text === '' ? '' : `?${text}`}`, {
      method,
      headers: { 'x-scope-orgid': tenant, ...headers },
      redirect: 'manual',
      ...(body !== undefined && { body }),
    })
  // A connection that was kept may be one that the server has just given up.
  const response = await send().catch(send)
  const type = response.headers.get('content-type')
  const answered = await response.text()
  if (request.otherMethod && (response.status === 404 || response.status === 405))
    return { status: 405, type: null, body: '' }
  const isJson = type?.startsWith('application/json') ?? false
  return { status: response.status, type, body: isJson ? comparable(answered, request) : plain(answered) }
}

/** What differs by chance: which of the series a pipeline's error is about, and times of the moment. Whether a line ends does not matter. */
const plain = (text: string): string =>
  text
    .trimEnd()
    .replace(/^pipeline error: .*/s, 'pipeline error')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')

type Labels = Readonly<Record<string, string>>

interface Result {
  readonly stream?: Labels
  readonly metric?: Labels
  readonly values?: readonly unknown[]
  readonly value?: unknown
}

function comparable(text: string, { ordered = false }: Request): string {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return text
  }
  const data = (parsed as { data?: { result?: unknown; resultType?: string; stats?: unknown } } | null)?.data
  if (data?.result !== undefined) {
    delete data.stats
    if (Array.isArray(data.result) && data.resultType !== 'scalar') {
      const results = (data.result as Result[]).map(withoutChance)
      data.result = ordered ? results : sortedBy(results, canonical)
    }
  }
  return canonical(sortedLists(parsed))
}

/** Lists that Loki makes of maps. */
const unorderedLists: ReadonlySet<string> = new Set(['data', 'detectedLabels', 'fields', 'parsers', 'values'])

function sortedLists(answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null) return answer
  const entries = Object.entries(answer).map(([name, value]) => {
    if (!unorderedLists.has(name) || !Array.isArray(value)) return [name, value]
    return [name, sortedBy(value.map(sortedLists), canonical)]
  })
  return Object.fromEntries(entries)
}

/** Loki gives entries of one time in the order in which it found them, and adds numbers up in any. */
function withoutChance(result: Result): Result {
  if (result.stream !== undefined) return { ...result, values: sortedTies(result.values as [string, ...unknown[]][]) }
  return {
    ...result,
    ...(result.values !== undefined && { values: result.values.map(rounded) }),
    ...(result.value !== undefined && { value: rounded(result.value) }),
  }
}

function sortedTies(values: readonly (readonly [string, ...unknown[]])[]): unknown[] {
  const runs: (readonly [string, ...unknown[]])[][] = []
  for (const value of values) {
    const last = runs.at(-1)
    if (last?.[0]?.[0] === value[0]) last.push(value)
    else runs.push([value])
  }
  return runs.flatMap((run) => sortedBy(run, canonical))
}

const digits = 12

function rounded(sample: unknown): unknown {
  const [time, value] = sample as [number, string]
  const number = Number(value)
  return [time, Number.isFinite(number) ? String(Number(number.toPrecision(digits))) : value]
}

function sortedBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return items
    .map((item) => [key(item), item] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, item]) => item)
}

/** JSON with the keys of objects in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** Undefined where they are the same. */
export function difference(loki: Answer, ours: Answer): string | undefined {
  const own = describe(loki)
  const other = describe(ours)
  if (own === other) return undefined
  let from = 0
  while (own[from] === other[from]) from++
  const begin = Math.max(0, from - shownBefore)
  const part = (text: string) => (begin === 0 ? '' : '… ') + text.slice(begin, from + shownBehind)
  return `Loki: ${part(own)}\n    ours: ${part(other)}`
}

const shownBefore = 120
const shownBehind = 240

const describe = ({ status, type, body }: Answer): string => `${status} ${type ?? 'no type'} ${body}`
