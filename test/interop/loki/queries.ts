/** Requests of the language: tables in cases/, each line a query, and what is put together by chance. */
import { readFileSync } from 'node:fs'
import type { Request } from './compare.ts'
import { at, range } from './entries.ts'
import { randomQueries } from './random-queries.ts'

const api = '/loki/api/v1/'

/** Lines that are neither empty nor a heading. */
function table(file: string): string[] {
  const text = readFileSync(new URL(`cases/${file}`, import.meta.url), 'utf8')
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('## '))
}

const log = (query: string): Request => ({
  name: query,
  path: `${api}query_range`,
  parameters: { ...range, query, limit: '1000' },
})

const instant = (query: string): Request => ({
  name: query,
  path: `${api}query`,
  parameters: { query, time: at(60) },
})

const overSteps = (query: string): Request => ({
  name: query,
  path: `${api}query_range`,
  parameters: { ...range, query, step: '20' },
})

/** POST, as some of them are longer than a line of a request may be. */
const formatted = (query: string): Request => ({
  name: query.length > 1000 ? `${query.slice(0, 30)}… of ${query.length} characters` : query,
  path: `${api}format_query`,
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: String(new URLSearchParams({ query })),
})

const withTemplate = (template: string): Request => {
  const quoted = template.includes('`') ? JSON.stringify(template) : `\`${template}\``
  return { ...log(`{case="nested"} |= "headers" | json | line_format ${quoted}`), name: template }
}

const labelled = [
  '{{ .n }}',
  '{{ nope }}',
  '{{ .n | add 1 }}',
  '{{ div 1 0 }}',
  '{{ .app }}',
  '{{ __line__ }}',
  '{{ .x',
]

const metrics = [
  ...table('metric.logql'),
  'count_over_time(# c\n{case="multi"}[1m] # d\n)',
  'count_over_time({case="multi"} # x [5m]\n[1m])',
  'count_over_time({case="multi"}[60s]) # comment',
]

const severalLines = [
  '{a="b"} |= "a\nb" | x',
  '\n\n{a="b"}\n | json\n  | x',
  '{a="b"}\n  # c\n |= x',
  '{a="b"} |= "a\nb"',
  '# only',
  '{a="b"}\t|\tx',
  '\0',
  '{a="\0"}',
  `{a="${'b'.repeat(131_080)}"}`,
  `{a="b"} ${'|= "x" '.repeat(100)}|`,
  `${'('.repeat(300)}1${')'.repeat(300)}`,
]

/** One that comes twice says nothing new. */
const random = [...new Map(randomQueries(20_260, 400).map((query) => [query.query, query])).values()]
const categorized = { headers: { 'x-loki-response-encoding-flags': 'categorize-labels' } }

export const queries: Readonly<Record<string, readonly Request[]>> = {
  'log queries': table('log.logql').map(log),
  'log queries with labels by category': table('log.logql').map((query) => ({ ...log(query), ...categorized })),
  'metric queries at one time': metrics.map(instant),
  'metric queries over steps': metrics.map(overSteps),
  templates: [
    ...table('templates.txt').map(withTemplate),
    ...labelled.map((template) => log(`{case="nested"} | json | label_format z=\`${template}\`, q=n`)),
  ],
  'format_query, and what it refuses': [...new Set([...table('wrong.logql'), ...severalLines, ...metrics])].map(
    formatted,
  ),
  'random log queries': random
    .filter(({ metric }) => !metric)
    .map(({ query }, i) => ({ ...log(query), ...(i % 2 === 0 && categorized) })),
  'random metric queries': random
    .filter(({ metric }) => metric)
    .map(({ query }, i) => (i % 2 === 0 ? instant : overSteps)(query)),
}
