/** Combinations that would not work are refused with a sentence that says what to do. */
import { describe, expect, test } from 'vitest'
import { render, type Tree } from './render.ts'
import { chartTools } from './tools.ts'

const tools = chartTools()
const clickhouse = { engine: 'clickhouse', clickhouse: { url: 'http://c:8123' } }
const remote = { enabled: false }
const credentials = { http: { auth: { credentials: [{ name: 'a', tokenFile: '/t', roles: ['admin'] }] } } }

const refused: { values: Tree; because: string }[] = [
  {
    values: { aggregator: { replicas: 3 } },
    because: 'aggregator.replicas: there can be 1 aggregator with store.engine embedded, not 3',
  },
  {
    values: { aggregator: { autoscaling: { enabled: true } } },
    because: 'aggregator.autoscaling.enabled: with store.engine embedded there can be only 1',
  },
  {
    values: { aggregator: { config: { ack: 'stored' } } },
    because: 'aggregator.config.ack: stored needs store.engine: clickhouse',
  },
  {
    values: { clickhousePassword: { existingSecret: 's' } },
    because: 'clickhousePassword.existingSecret: nothing asks for it',
  },
  {
    values: { store: { engine: 'clickhouse' } },
    because: 'store.clickhouse.url: is required with store.engine clickhouse',
  },
  {
    values: { store: clickhouse, aggregator: { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 4 } } },
    because: 'aggregator.autoscaling.maxReplicas: is 4, and minReplicas 5',
  },
  {
    values: { collector: { hostPort: true } },
    because: 'collector.hostPort: opens the port of the Forward input, which is off',
  },
  {
    values: { aggregator: remote },
    because: 'collector.config.aggregator.address: is required with aggregator.enabled: false',
  },
  { values: { aggregator: remote }, because: 'forward.auth.existingSecret: aggregators elsewhere know another key' },
  {
    values: { aggregator: remote },
    because: 'forward.tls.existingSecrets.collector: aggregators elsewhere have another authority',
  },
  {
    values: {
      forward: { tls: { certManager: { enabled: true }, existingSecrets: { aggregator: 'a', collector: 'b' } } },
    },
    because: 'forward.tls: certificates come from cert-manager or from existing Secrets',
  },
  {
    values: { forward: { tls: { existingSecrets: { aggregator: 'a' } } } },
    because: 'forward.tls.existingSecrets: aggregators and collectors must have certificates of one authority',
  },
  {
    values: { forward: { tls: { enabled: false, mutual: true } } },
    because: 'forward.tls.mutual: needs forward.tls.enabled: true',
  },
  {
    values: { forward: { tls: { enabled: false, certManager: { enabled: true } } } },
    because: 'forward.tls: names certificates, and TLS is off',
  },
  {
    values: { forward: { auth: { enabled: false, existingSecret: 'k' } } },
    because: 'forward.auth.existingSecret: names a shared key, and none is asked for',
  },
  {
    values: {
      forward: { auth: { enabled: false } },
      aggregator: { config: { forward: { users: { a: { passwordFile: '/p' } } } } },
    },
    because: 'aggregator.config.forward.users: need forward.auth.enabled: true',
  },
  { values: { ingress: { enabled: true } }, because: 'ingress.host: is required' },
  { values: { httpRoute: { enabled: true } }, because: 'httpRoute.parentRefs: is required' },
  { values: { aggregator: { config: credentials } }, because: 'test.env: the API asks for credentials' },
  {
    values: { aggregator: { config: { http: { port: 0 } } } },
    because: 'aggregator.config.http.port: in a pod a port must be known',
  },
]

/** What the schema alone refuses, as helm words it. */
const wrong: { values: Tree; because: RegExp }[] = [
  { values: { colector: {} }, because: /colector/ },
  { values: { collector: { config: { logs: { pth: '/x' } } } }, because: /collector\/config\/logs.*pth/s },
  { values: { collector: { config: { node: 'n' } } }, because: /collector\/config.*node/s },
  { values: { collector: { config: { http: { token: 'secret' } } } }, because: /collector\/config\/http.*token/s },
  {
    values: { aggregator: { config: { forward: { sharedKey: 'secret' } } } },
    because: /aggregator\/config\/forward.*sharedKey/s,
  },
  {
    values: { aggregator: { config: { forward: { users: { a: 'secret' } } } } },
    because: /aggregator\/config\/forward\/users/,
  },
  { values: { store: { engine: 'embeded' } }, because: /store\/engine/ },
  { values: { store: { clickhouse: { password: 'secret' } } }, because: /store\/clickhouse.*password/s },
  { values: { aggregator: { replicas: 0 } }, because: /aggregator\/replicas/ },
]

describe.skipIf(tools === undefined)('the chart refuses', () => {
  test.for(refused)('$because', async ({ values, because }) => {
    const { ok, stderr } = await render(tools!.helm, values)
    expect([ok, stderr]).toEqual([false, expect.stringContaining(because)])
  })

  test.for(wrong)('$values, which names no value or none of its kind', async ({ values, because }) => {
    const { ok, stderr } = await render(tools!.helm, values)
    expect([ok, stderr]).toEqual([false, expect.stringMatching(because)])
  })
})
