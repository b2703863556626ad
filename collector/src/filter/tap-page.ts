/** `/tap?namespace=&pod=&container=&raw=`: what each stage does to the records of one pod, as they come; one JSON object per line. */
import type { CollectorConfig } from '../config.ts'
import { onlyParameters, type PageAnswer, type PageRequest, parameter, RequestError } from '../http.ts'
import { isLoopback } from '../loopback.ts'
import { maxTaps, type OpenTap, type TapEvent, type Taps } from './taps.ts'

export interface TapPageOptions {
  readonly taps: Taps
  config(): Pick<CollectorConfig, 'http'>
}

export function tapPage({ taps, config }: TapPageOptions, { query, signal, local }: PageRequest): PageAnswer {
  onlyParameters(query, ['namespace', 'pod', 'container', 'raw'])
  if (!local)
    throw new RequestError('/tap shows lines, and so only to the machine or pod itself: use kubectl port-forward', 403)
  const [namespace, pod] = [parameter(query, 'namespace'), parameter(query, 'pod')]
  if (namespace === undefined || pod === undefined)
    throw new RequestError('namespace and pod are missing: /tap?namespace=…&pod=…')
  const raw = parameter(query, 'raw') === 'true'
  if (raw && !isLoopback(config().http.listen))
    throw new RequestError('lines with their secrets are shown only where http.listen is 127.0.0.1', 403)
  const tap = taps.open({ namespace, pod, container: parameter(query, 'container') }, raw)
  if (tap === undefined) throw new RequestError(`${maxTaps} taps are open; close one`, 429)
  return { type: 'application/x-ndjson; charset=utf-8', body: lines(tap, signal) }
}

async function* lines(tap: OpenTap, signal: AbortSignal): AsyncGenerator<string> {
  for await (const events of tap.events(signal))
    yield events.map((event) => `${JSON.stringify(event satisfies TapEvent)}\n`).join('')
}
