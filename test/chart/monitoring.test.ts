/** Alerts and dashboards ask only for metrics that there are. */

import { readdirSync, readFileSync } from 'node:fs'
import { AggregatorMetrics } from '@tributary/aggregator/metrics.ts'
import { CollectorMetrics } from '@tributary/collector/metrics.ts'
import { expect, test } from 'vitest'
import { chart } from './render.ts'

const files = [
  'files/alerts.yaml',
  ...readdirSync(`${chart}/files/dashboards`).map((name) => `files/dashboards/${name}`),
]

test.for(files)('every metric in %s is one of ours', (name) => {
  const text = readFileSync(`${chart}/${name}`, 'utf8')
  const collector = new CollectorMetrics()
  collector.collectProcess()
  const known = new Set(
    [collector, new AggregatorMetrics()].flatMap(({ registry }) =>
      registry.getMetricsAsArray().map((metric) => metric.name),
    ),
  )
  const used = [...text.matchAll(/\b(?:collector|aggregator)_[a-z_]+/g)].map(([metric]) =>
    metric.replace(/_bucket$/, ''),
  )
  expect(used.length).toBeGreaterThan(10)
  expect(used.filter((metric) => !known.has(metric))).toEqual([])
})

test('a dashboard has a name of its own, and panels that each ask something', () => {
  const dashboards = readdirSync(`${chart}/files/dashboards`).map(
    (name) => JSON.parse(readFileSync(`${chart}/files/dashboards/${name}`, 'utf8')) as Dashboard,
  )
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(2)
  for (const { panels } of dashboards) {
    const ids = panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const panel of panels.filter(({ type }) => type !== 'row'))
      expect(panel.targets, panel.title).not.toHaveLength(0)
  }
})

interface Dashboard {
  readonly uid: string
  readonly panels: readonly {
    readonly id: number
    readonly type: string
    readonly title: string
    readonly targets: readonly unknown[]
  }[]
}
