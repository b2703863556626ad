import { expect, test } from 'vitest'
import { maxTaps, type TapEvent, Taps } from './taps.ts'
import type { RecordTrace } from './trace.ts'

const stream = (container: string, pod = 'api-1') => ({ labels: { namespace: 'shop', pod, container }, metadata: {} })
const trace = (line: string): RecordTrace => {
  const shown = { line, attributes: {} }
  return { stream: 'stdout', time: 0, offset: 0, before: shown, stages: [], after: shown }
}
const mask = (one: RecordTrace): RecordTrace => trace(one.before.line.replace('secret', '***'))
const shop = { namespace: 'shop', pod: 'api-1', container: undefined }

async function taken(events: AsyncGenerator<TapEvent[]>): Promise<(string | number)[]> {
  const { value } = await events.next()
  return (value as TapEvent[]).flatMap(({ trace, skipped }) =>
    skipped > 0 ? [skipped, trace.before.line] : [trace.before.line],
  )
}

test('a tap sees the pod or the container that it asks for', () => {
  const taps = new Taps()
  expect(taps.find(stream('api'))).toBeUndefined()
  taps.open({ ...shop, container: 'api' }, false)
  expect(taps.find(stream('api'))).toBeDefined()
  expect(taps.find(stream('web'))).toBeUndefined()
  expect(taps.find(stream('api', 'api-2'))).toBeUndefined()
  taps.open(shop, false)
  expect(taps.find(stream('web'))).toBeDefined()
})

test('each of two taps is shown what it may see', async () => {
  const taps = new Taps()
  const [plain, raw] = [taps.open(shop, false)!, taps.open(shop, true)!]
  const both = taps.find(stream('api'))!
  both.begin()
  expect(both.wants()).toBe(true)
  both.show(trace('a secret'), stream('api'), mask)
  const signal = new AbortController().signal
  expect(await taken(plain.events(signal))).toEqual(['a ***'])
  expect(await taken(raw.events(signal))).toEqual(['a secret'])
})

test('what comes too fast is counted, and told with the next that is shown', async () => {
  let now = 0
  const taps = new Taps(() => now)
  const tap = taps.open(shop, true)!
  const events = tap.events(new AbortController().signal)
  const chunk = (count: number) => {
    tap.begin()
    for (let i = 0; i < count; i++) if (tap.wants()) tap.show(trace(String(i)), stream('api'), mask)
  }
  chunk(250)
  expect((await taken(events)).length).toBe(200)
  chunk(10)
  now += 10
  chunk(1)
  expect(await taken(events)).toEqual([60, '0'])
})

test('taps are few, and one that ends makes room', async () => {
  const taps = new Taps()
  const stop = new AbortController()
  const events = taps.open(shop, false)!.events(stop.signal)
  const next = events.next()
  for (let i = 1; i < maxTaps; i++) expect(taps.open(shop, false)).toBeDefined()
  expect(taps.open(shop, false)).toBeUndefined()
  stop.abort()
  expect(await next).toEqual({ value: undefined, done: true })
  expect(taps.open(shop, false)).toBeDefined()
})
