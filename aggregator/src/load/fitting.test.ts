import { expect, test } from 'vitest'
import { fitLabels, fitLine } from './fitting.ts'

const limits = { maxLabelNames: 3, maxLabelNameBytes: 10, maxLabelValueBytes: 5 }

test.for([
  { what: 'what fits is left alone', labels: { pod: 'p', z: '1' }, kept: { pod: 'p', z: '1' }, moved: {} },
  { what: 'a long value', labels: { pod: 'p', z: '123456' }, kept: { pod: 'p' }, moved: { z: '123456' } },
  { what: 'a value long in bytes', labels: { z: 'ééé' }, kept: {}, moved: { z: 'ééé' } },
  { what: 'a long name', labels: { abcdefghijk: '1' }, kept: {}, moved: { abcdefghijk: '1' } },
  {
    what: 'one too many',
    labels: { b: '1', a: '1', pod: 'p', app: 'x' },
    kept: { app: 'x', pod: 'p', a: '1' },
    moved: { b: '1' },
  },
])('$what', ({ labels, kept, moved }) => {
  expect(fitLabels(labels, { own: 'm' }, limits)).toEqual({ labels: kept, metadata: { own: 'm', ...moved } })
})

test('metadata of the same name wins over a label that is moved, and 0 is no limit', () => {
  expect(fitLabels({ z: '123456' }, { z: 'own' }, limits)).toEqual({ labels: {}, metadata: { z: 'own' } })
  const none = { maxLabelNames: 0, maxLabelNameBytes: 0, maxLabelValueBytes: 0 }
  expect(fitLabels({ z: '1'.repeat(99) }, {}, none).labels).toEqual({ z: '1'.repeat(99) })
})

test.for([
  { line: 'abcdef', max: 6, kept: 'abcdef' },
  { line: 'abcdefg', max: 6, kept: 'abcdef' },
  { line: 'abcdeé', max: 6, kept: 'abcde' },
  { line: 'abcé', max: 5, kept: 'abcé' },
  { line: 'abc😀', max: 6, kept: 'abc' },
])('$line in $max bytes is $kept', ({ line, max, kept }) => {
  const bytes = Buffer.from(line)
  expect(bytes.toString('utf8', 0, fitLine(bytes, max))).toBe(kept)
})

test('bytes that are no UTF-8 are cut where the limit is', () => {
  expect(fitLine(Buffer.alloc(10, 0x80), 6)).toBe(6)
})
