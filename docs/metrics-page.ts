/** docs/metrics.md: every metric, from the registries themselves. */
import { apiMetrics } from '@tributary/aggregator/api/metrics.ts'
import { AggregatorMetrics } from '@tributary/aggregator/metrics.ts'
import { engineRestarts } from '@tributary/aggregator/store/embedded.ts'
import { CollectorMetrics } from '@tributary/collector/metrics.ts'
import type { Registry } from 'prom-client'

/** What a registry says of a metric; prom-client's own type leaves the labels out. */
interface Described {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
}

/** What Node and the operating system tell of any process. */
const ofAnyProcess = /^(collector|aggregator)_(process|nodejs)_/

function table(registry: Registry): string {
  const metrics = (registry.getMetricsAsArray() as unknown as Described[]).filter(
    ({ name }) => !ofAnyProcess.test(name),
  )
  const rows = metrics.map((metric) => {
    const labels = (metric.labelNames ?? []).map((label) => `\`${label}\``).join(', ')
    return `| \`${metric.name}\` | ${metric.constructor.name.toLowerCase()} | ${labels} | ${metric.help.replaceAll('|', '\\|')} |`
  })
  return ['| metric | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

/** With what the API and the embedded store add to it. */
function aggregatorRegistry(): Registry {
  const { registry } = new AggregatorMetrics()
  apiMetrics(registry)
  engineRestarts(registry)
  return registry
}

export function metricsPage(): string {
  return `<!-- Written by \`npm run docs\` from collector/src/metrics.ts and aggregator/src/metrics.ts. -->
# Metrics

Both processes answer \`/metrics\` in Prometheus' format: the collector on port 2020, the aggregator on 3100. Labels are bounded: reasons, formats and
states, never a path or a peer, and a pod only where few can be. What stands for one pod is told by \`tributary why\` and \`tributary audit\`. Which metrics tell where lines
are, and what to alert on: [operations](operations.md#metrics).

Beside these there are Node's own, as \`collector_process_…\` and \`collector_nodejs_…\`, and likewise for the aggregator.

## Collector

${table(new CollectorMetrics().registry)}

## Aggregator

${table(aggregatorRegistry())}
`
}
