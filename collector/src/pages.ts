/** What the collector's HTTP port answers: /metrics for Prometheus, /healthz and /readyz for the kubelet, /why and /tap for people. */
import type { Registry } from 'prom-client'
import type { WhyPageOptions } from './diagnosis/why-page.ts'
import type { TapPageOptions } from './filter/tap-page.ts'
import type { Health } from './health.ts'
import type { Page } from './http.ts'

export interface PagesOptions {
  readonly registry: Registry
  readonly vitals: { readonly health: Health; readonly ready: Health }
  readonly why: WhyPageOptions
  readonly tap: TapPageOptions
}

/** By path. A stage with a page of its own adds it. */
export function pagesOf({ registry, vitals, why, tap }: PagesOptions): Map<string, Page> {
  return new Map<string, Page>([
    ['/metrics', async () => ({ type: registry.contentType, body: await registry.metrics() })],
    ['/healthz', () => healthPage(vitals.health, 'ok')],
    ['/readyz', () => healthPage(vitals.ready, 'ready')],
    // What nobody may ever ask for is loaded when it is asked for.
    ['/tap', async (request) => (await import('./filter/tap-page.ts')).tapPage(tap, request)],
    ['/why', async ({ query }) => (await import('./diagnosis/why-page.ts')).whyPage(why, query)],
  ])
}

function healthPage({ healthy, reason, notice }: Health, good: string) {
  const lines = [healthy ? good : reason, ...(notice === undefined ? [] : [notice])]
  return { status: healthy ? 200 : 503, body: `${lines.join('\n')}\n` }
}
