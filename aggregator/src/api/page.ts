/** The page at `/`: what runs here and how to ask it something. */

export interface PageState {
  readonly version: string
  readonly ready: boolean
  readonly reason?: string | undefined
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character]!)

const links = [
  ['/loki/api/v1/labels', 'labels of the last hour'],
  ['/loki/api/v1/series', 'streams of the last hour'],
  ['/api/v1/audit', 'what was read, stored, filtered and lost, by source'],
  ['/metrics', 'metrics'],
  ['/ready', 'readiness'],
] as const

const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 46rem; margin: 3rem auto; padding: 0 1rem }
  code, input { font-family: ui-monospace, monospace }
  form { display: flex; gap: .5rem }
  input[name=query] { flex: 1; padding: .5rem }
  button { padding: .5rem 1rem }
  .state::before { content: "● "; color: #2a9d4b }
  .state.waiting::before { color: #d08a00 }
`

export function statusPage({ version, ready, reason }: PageState): string {
  const state = ready ? 'ready' : `not ready: ${reason ?? 'starting'}`
  const items = links.map(([href, text]) => `<li><a href="${href}"><code>${href}</code></a> ${escapeHtml(text)}</li>`)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tributary</title>
<style>${style}</style>
</head>
<body>
<h1>Tributary</h1>
<p class="state${ready ? '' : ' waiting'}">Aggregator ${escapeHtml(version)}, ${escapeHtml(state)}</p>
<p>This process receives logs, keeps them, and answers LogQL over the HTTP API of Grafana Loki: add it to Grafana as a
data source of type Loki with the address of this page.</p>
<h2>Ask</h2>
<form action="/loki/api/v1/query_range" method="get">
<input name="query" aria-label="LogQL query" value='{namespace=~".+"} |= ""' spellcheck="false">
<input type="hidden" name="limit" value="100">
<button>Last hour</button>
</form>
<h2>Look</h2>
<ul>
${items.join('\n')}
</ul>
</body>
</html>
`
}
