import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ListEnvelope, ListScanner } from './list-scanner.ts'

/** What is found when the bytes come in pieces that end where the cuts say. */
function scan(text: string, cuts: readonly number[] = []): { items: unknown[]; envelope: ListEnvelope } {
  const bytes = Buffer.from(text)
  const items: unknown[] = []
  const scanner = new ListScanner((item) => items.push(item))
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const to of [...at, bytes.length]) {
    // Overwritten afterwards, as a socket's buffer would be.
    const piece = Buffer.from(bytes.subarray(from, to))
    scanner.push(piece)
    piece.fill(0)
    from = to
  }
  return { items, envelope: scanner.end() }
}

test('objects come one by one, and what surrounds them at the end', () => {
  const list = { kind: 'PodList', metadata: { resourceVersion: '7', continue: 'c' }, items: [{ a: [1, { b: 2 }] }, {}] }
  expect(scan(JSON.stringify(list))).toEqual({ items: list.items, envelope: { ...list, items: [] } })
})

test.for([
  { what: 'no objects', text: '{"metadata":{"resourceVersion":"1"},"items":[]}', items: [] },
  { what: 'null instead of objects', text: '{"items":null,"metadata":{"resourceVersion":"1"}}', items: [] },
  {
    what: 'what surrounds them comes last',
    text: '{"items":[{"x":1}],"metadata":{"resourceVersion":"1"}}',
    items: [{ x: 1 }],
  },
  {
    what: 'white space',
    text: '{\n "items" : [ {"x": 1} ,\n {"y": "]}"} ] ,\n "metadata": {"resourceVersion": "1"} }\n',
    items: [{ x: 1 }, { y: ']}' }],
  },
])('$what', ({ text, items }) => {
  const found = scan(text)
  expect(found.items).toEqual(items)
  expect(found.envelope.metadata?.resourceVersion).toBe('1')
})

test('where the bytes are cut changes nothing', () => {
  const nasty = fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', 'é', 'a') })
  // No escapes in keys: V8's own parser now and then takes one such key for another.
  const keys = fc.string({ unit: fc.constantFrom('{', '}', '[', ']', ',', 'é', 'a') })
  const values = fc.letrec((tie) => ({
    node: fc.oneof({ maxDepth: 3 }, nasty, fc.integer(), fc.array(tie('node')), fc.dictionary(keys, tie('node'))),
  })).node
  const objects = fc.array(fc.dictionary(keys, values), { maxLength: 4 })
  let split = 0
  fc.assert(
    fc.property(objects, nasty, fc.boolean(), fc.array(fc.nat(), { maxLength: 6 }), (items, version, last, cuts) => {
      const metadata = { resourceVersion: version }
      const list = last ? { items, metadata } : { metadata, items }
      const found = scan(JSON.stringify(list), cuts)
      if (items.length > 0 && cuts.length > 1) split++
      expect(JSON.stringify(found.items)).toBe(JSON.stringify(items))
      expect(found.envelope.metadata).toEqual(metadata)
    }),
    { numRuns: 1000 },
  )
  expect(split).toBeGreaterThan(50)
})

describe('what is no list is an error', () => {
  test.for(['', 'null', '<html>', '{"items":[{"a":', '{"items":[{"a":1}', '7'])('%s', (text) => {
    expect(() => scan(text)).toThrow()
  })
  test('bytes without an end are not kept without an end', () => {
    const scanner = new ListScanner(() => {})
    const more = Buffer.alloc(1024 * 1024, 'x')
    expect(() => {
      scanner.push(Buffer.from('{"items":[{"a":"'))
      for (let i = 0; i < 10; i++) scanner.push(more)
    }).toThrow('more than')
    expect(() => new ListScanner(() => {}).push(more)).toThrow('not a list')
  })
})
