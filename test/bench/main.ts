/**
 * `npm run bench -- collector|receiver|store|end-to-end|limits|query|beside-queries|many-files|all [--save]`: measures and compares with the goals. With `--save` the figures
 * become test/bench/baseline.json and docs/performance.md.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type BenchResult, table, verdict } from './result.ts'

const benches: Record<string, () => Promise<BenchResult>> = {
  collector: async () => (await import('./collector.ts')).run(),
  receiver: async () => (await import('./receiver.ts')).run(),
  store: async () => (await import('./receiver.ts')).runStore(),
  'end-to-end': async () => (await import('./end-to-end.ts')).run(),
  limits: async () => (await import('./limits.ts')).run(),
  query: async () => (await import('./query.ts')).run(),
  'beside-queries': async () => (await import('./beside.ts')).run(),
  'many-files': async () => (await import('./many-files.ts')).run(),
}

interface Baseline {
  readonly machine: string
  readonly node: string
  readonly results: readonly SavedResult[]
}

interface SavedResult extends BenchResult {
  /** When it was measured. */
  readonly date: string
}

const baselinePath = fileURLToPath(new URL('baseline.json', import.meta.url))
const pagePath = fileURLToPath(new URL('../../docs/performance.md', import.meta.url))

export function performancePage({ machine, node, results }: Baseline): string {
  return `<!-- Written by \`npm run bench -- all --save\` from test/bench/baseline.json. -->
# Performance

Measured with Node ${node} on ${machine}. CPU seconds are user and system time of whole processes, all threads; the machine is
shared, so believe ratios more than figures: repeats differ by 10 to 15 %.

${table(results)}

${results.map(({ bench, what, date }) => `- **${bench}** (${date}): ${what}.`).join('\n')}

${notReached(results)}

Repeat it with \`npm run bench -- all\`. The data is seeded: two versions read the same bytes.
`
}

function notReached(results: readonly BenchResult[]): string {
  const missed = results.flatMap(({ bench, figures }) =>
    figures
      .filter((figure) => verdict(figure) === 'missed')
      .map(({ name, note }) => `- ${bench}, ${name}${note === undefined ? '' : `: ${note}`}.`),
  )
  return missed.length === 0 ? 'Every goal is reached.' : `Not reached:\n\n${missed.join('\n')}`
}

function save(results: readonly BenchResult[]): void {
  let old: readonly SavedResult[] = []
  try {
    old = (JSON.parse(readFileSync(baselinePath, 'utf8')) as Baseline).results
  } catch {
    // The first time there is none.
  }
  const kept = old.filter(({ bench }) => !results.some((one) => one.bench === bench))
  const placeOf = ({ bench }: BenchResult) => Object.keys(benches).indexOf(bench.split(',')[0]!)
  const date = new Date().toISOString().slice(0, 10)
  const all = [...kept, ...results.map((result) => ({ ...result, date }))].sort((a, b) => placeOf(a) - placeOf(b))
  const machine = `${cpus().length} cores (${cpus()[0]!.model.trim()})`
  const baseline = { machine, node: process.versions.node, results: all }
  writeFileSync(baselinePath, `${JSON.stringify(baseline, undefined, 2)}\n`)
  writeFileSync(pagePath, performancePage(baseline))
}

if (import.meta.main) {
  const { positionals: names } = parseArgs({
    allowPositionals: true,
    options: { save: { type: 'boolean' }, rows: { type: 'string' }, directory: { type: 'string' } },
    strict: false,
  })
  const chosen = names.includes('all') ? Object.keys(benches) : names
  const unknown = chosen.filter((name) => !benches[name])
  if (chosen.length === 0 || unknown.length > 0) {
    console.error(`usage: npm run bench -- ${Object.keys(benches).join('|')}|all [--save]`)
    process.exit(2)
  }
  const results: BenchResult[] = []
  for (const name of chosen) {
    console.error(`${name} …`)
    try {
      results.push(await benches[name]!())
    } catch (error) {
      // What the others measured took minutes and stands.
      console.error(error)
      process.exitCode = 1
    }
  }
  console.log(table(results))
  if (process.argv.includes('--save')) save(results)
  if (results.some(({ figures }) => figures.some((figure) => verdict(figure) === 'missed'))) process.exitCode = 1
}
