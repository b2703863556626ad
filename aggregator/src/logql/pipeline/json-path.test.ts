import { expect, test } from 'vitest'
import type { Extraction } from '../ast.ts'
import { compileStages } from './compile.ts'
import { WorkingEntry } from './working-entry.ts'

function parsed(line: string, ...paths: string[]): Record<string, string> {
  const at = { line: 1, column: 1 }
  const extractions: Extraction[] = paths.map((path, i) => ({ name: `p${i}`, path }))
  const entry = new WorkingEntry()
  entry.begin(0n, line, new Map(), new Map())
  compileStages([{ kind: 'json', extractions, at }])(entry)
  return Object.fromEntries(entry.parsedLabels())
}
const error = (details: string) => ({ __error__: 'JSONParserErr', __error_details__: details })
const noString = error(`Value is string, but can't find closing '"' symbol`)

test.for([
  ['{"a":{"b":[[1,2],["x",{"y":"z"}]]}}', ['a.b[0][1]', 'a.b[1][1].y', 'a.b[1][0]'], { p0: '2', p1: 'z', p2: 'x' }],
  ['{"a":{"b":1},"b":2}', ['b', 'a'], { p0: '2', p1: '{"b":1}' }],
  ['{"a":[1,{"b":2}],"c":3}', ['c', 'a[1]', 'a'], { p0: '3', p1: '{"b":2}', p2: '[1,{"b":2}]' }],
  ['{"x":{"a":1},"y":[{"a":2}],"a":3}', ['a'], { p0: '3' }],
  ['{"a":1,"a":2}', ['a'], { p0: '1' }],
  ['{"a":1}', ['b', 'a.c', 'a[0]'], { p0: '', p1: '', p2: '' }],
  ['[{"a":1}]', ['[0].a', 'a'], { p0: '1', p1: '' }],
  // Cut off behind it.
  ['{"a":{"b":1', ['a.b'], { p0: '1' }],
  ['{"a":[1', ['a[0]'], { p0: '1' }],
  ['{"a":{"b":"x', ['a.b'], { p0: '', ...noString }],
  // Wrong before it.
  ['{"t":tru,"b":1}', ['b', 't'], { p0: '1', p1: '', ...error('Unknown value type') }],
  ['{"k":"v" "k2":"v2"}', ['k2'], { p0: 'v2' }],
  ['"a":1}', ['a'], { p0: '', ...error('Malformed JSON error') }],
  ['{"a":[tru,{"b":1}],"c":1}', ['a[1].b', 'c'], { p0: '', p1: '1' }],
  ['{"a"', ['a'], { p0: '' }],
  ['not json', ['a'], { __error__: 'JSONParserErr' }],
] as const)('%s with %j', ([line, paths, labels]) => expect(parsed(line, ...paths)).toEqual(labels))
