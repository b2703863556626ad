import { expect, test } from 'vitest'
import { RequestError } from '../http.ts'
import { tapPage } from './tap-page.ts'
import { maxTaps, Taps } from './taps.ts'

function ask(query: string, { local = true, listen = '0.0.0.0', taps = new Taps() } = {}) {
  const config = () => ({ http: { listen, port: 2020 } })
  return tapPage({ taps, config }, { query: new URLSearchParams(query), signal: new AbortController().signal, local })
}

test.for([
  ['namespace=a&pod=b', { local: false }, 403, 'kubectl port-forward'],
  ['namespace=a', {}, 400, 'namespace and pod are missing'],
  ['namespace=a&pod=b&raw=true', {}, 403, 'http.listen is 127.0.0.1'],
  ['namespace=a&pod=b&rwa=true', {}, 400, 'unknown parameter rwa'],
] as const)('%s with %j is refused with %d', ([query, how, status, message]) => {
  expect(() => ask(query, how)).toThrow(expect.objectContaining({ status, message: expect.stringContaining(message) }))
})

test('raw lines are shown where nobody else can ask', () => {
  expect(ask('namespace=a&pod=b&raw=true', { listen: '127.0.0.1' }).type).toContain('ndjson')
})

test('more taps than there may be are refused', () => {
  const taps = new Taps()
  for (let i = 0; i < maxTaps; i++) ask('namespace=a&pod=b', { taps })
  expect(() => ask('namespace=a&pod=b', { taps })).toThrow(RequestError)
})
