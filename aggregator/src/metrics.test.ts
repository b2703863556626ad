import { expect, test } from 'vitest'
import { AggregatorMetrics } from './metrics.ts'

test('metrics are named by the rules: component first, base units, _total for counters', async () => {
  for (const { name, type } of await new AggregatorMetrics().registry.getMetricsAsJSON()) {
    expect(name).toMatch(/^aggregator_[a-z][a-z0-9_]*$/)
    if (String(type) === 'counter') expect(name).toMatch(/_total$/)
    expect(name, 'base units only').not.toMatch(/_(ms|millis|kb|mb|percent)(_|$)/)
  }
})

test('a counter with a reason counts by reason', async () => {
  const metrics = new AggregatorMetrics()
  metrics.receiveErrors.inc(1, 'zip_bomb')
  metrics.receiveErrors.inc(2, 'handshake')
  const text = await metrics.registry.metrics()
  expect(text).toContain('aggregator_receive_errors_total{reason="zip_bomb"} 1')
  expect(text).toContain('aggregator_receive_errors_total{reason="handshake"} 2')
})
